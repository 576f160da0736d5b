// LAMB. You et al., ICLR 2020, algorithm 2, with phi the identity. A tensor or a step of norm 0 takes the
// ratio
// 1. Parameters that BERT's rule does not decay are not scaled either, as in the authors' code.
#include <cmath>

#include "optim/adam.h"
#include "optim/floats.h"
#include "optim/kernels/kernels.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {
namespace {

class Lamb final : public TwoMoments {
 public:
  Lamb(const proto::Lamb& spec, Parameters parameters)
      : TwoMoments(std::move(parameters), spec.learning_rate(), spec.weight_decay()), spec_(spec) {}

 protected:
  void Update(const Work& work) override {
    const Slot& slot = slots_[work.parameter];
    const int64_t n = parameters_[work.parameter].value.numel();
    *slot.steps += 1;  // exact in float32 up to 16 million
    const double steps = *slot.steps, beta1 = spec_.beta1(), beta2 = spec_.beta2();
    const LambRates rates = {.beta1 = static_cast<float>(beta1),
                             .rest1 = static_cast<float>(1 - beta1),
                             .beta2 = static_cast<float>(beta2),
                             .rest2 = static_cast<float>(1 - beta2),
                             .correction1 = static_cast<float>(1 / (1 - std::pow(beta1, steps))),
                             .correction2 = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, steps))),
                             .epsilon = static_cast<float>(spec_.epsilon()),
                             .decay = static_cast<float>(work.decay)};
    const double of_weights = std::sqrt(SumPieces(n, work.threads, [&](int64_t first, int64_t count) {
      return Kernel().squares(work.value + first, count);
    }));
    const double of_step = std::sqrt(SumPieces(n, work.threads, [&](int64_t first, int64_t count) {
      return Kernel().lamb_moments(rates, work.gradient + first, count, slot.first + first,
                                   slot.second + first, work.value + first);
    }));
    const bool scaled = parameters_[work.parameter].decay && of_weights > 0 && of_step > 0;
    const auto rate = static_cast<float>(work.rate * (scaled ? of_weights / of_step : 1));
    ForPieces(n, work.threads, [&](int64_t first, int64_t count) {
      Kernel().lamb_move(rates, slot.first + first, slot.second + first, count, rate, work.value + first);
    });
  }

 private:
  const proto::Lamb spec_;
};

}  // namespace

OptimizerEntry lamb() {
  return {.state_bytes = kTwoMomentsBytes,
          .make = [](const proto::Optimizer& spec, Parameters parameters) -> std::unique_ptr<Optimizer> {
            return std::make_unique<Lamb>(spec.lamb(), std::move(parameters));
          }};
}

}  // namespace thimble::optim
