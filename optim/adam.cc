#include "optim/adam.h"

#include <cmath>

#include "optim/floats.h"
#include "optim/kernels/kernels.h"

namespace thimble::optim {
namespace {

class AdamRule final : public TwoMoments {
 public:
  AdamRule(const AdamOptions& options, Parameters parameters)
      : TwoMoments(std::move(parameters), options.learning_rate, options.weight_decay), options_(options) {}

 protected:
  void Update(const Work& work) override {
    const Slot& slot = slots_[work.parameter];
    *slot.steps += 1;  // exact in float32 up to 16 million
    const double steps = *slot.steps, beta1 = options_.beta1, beta2 = options_.beta2;
    const AdamRates rates = {.beta1 = static_cast<float>(beta1),
                             .rest1 = static_cast<float>(1 - beta1),
                             .beta2 = static_cast<float>(beta2),
                             .rest2 = static_cast<float>(1 - beta2),
                             .couple = options_.decoupled ? 0 : static_cast<float>(work.decay),
                             .keep = options_.decoupled ? static_cast<float>(1 - work.rate * work.decay) : 1,
                             .rate = static_cast<float>(work.rate / (1 - std::pow(beta1, steps))),
                             .correction2 = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, steps))),
                             .epsilon = static_cast<float>(options_.epsilon)};
    ForPieces(parameters_[work.parameter].value.numel(), work.threads, [&](int64_t first, int64_t count) {
      Kernel().adam(rates, work.gradient + first, count, slot.first + first, slot.second + first,
                    work.value + first);
    });
  }

 private:
  const AdamOptions options_;
};

}  // namespace

TwoMoments::TwoMoments(Parameters parameters, double rate, double decay)
    : Optimizer(std::move(parameters), rate, decay) {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::IntArrayRef sizes = parameters_[i].value.sizes();
    float* first = AddState(i, "first_moment", sizes);
    float* second = AddState(i, "second_moment", sizes);
    slots_.push_back({first, second, AddState(i, "steps", {1})});
  }
}

std::unique_ptr<Optimizer> MakeAdam(const AdamOptions& options, Parameters parameters) {
  return std::make_unique<AdamRule>(options, std::move(parameters));
}

}  // namespace thimble::optim
