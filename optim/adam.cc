#include "optim/adam.h"

#include <cmath>

#include "optim/floats.h"
#include "optim/kernels/kernels.h"
#include "proto/optimizer.pb.h"

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
    const AdamRates rates = RatesAt(options_, *slot.steps, work.rate, work.decay);
    ForPieces(parameters_[work.parameter].value.numel(), work.threads, [&](int64_t first, int64_t count) {
      Kernel().adam(rates, work.gradient + first, count, slot.first + first, slot.second + first,
                    work.value + first);
    });
  }

 private:
  const AdamOptions options_;
};

template <typename Spec>
AdamOptions Options(const Spec& rule, bool decoupled) {
  return {.learning_rate = rule.learning_rate(),
          .beta1 = rule.beta1(),
          .beta2 = rule.beta2(),
          .epsilon = rule.epsilon(),
          .weight_decay = rule.weight_decay(),
          .decoupled = decoupled};
}

}  // namespace

AdamOptions OptionsOf(const proto::Adam& rule) { return Options(rule, false); }
AdamOptions OptionsOf(const proto::AdamW& rule) { return Options(rule, true); }

AdamRates RatesAt(const AdamOptions& options, double steps, double rate, double decay) {
  return {.beta1 = static_cast<float>(options.beta1),
          .rest1 = static_cast<float>(1 - options.beta1),
          .beta2 = static_cast<float>(options.beta2),
          .rest2 = static_cast<float>(1 - options.beta2),
          .couple = options.decoupled ? 0 : static_cast<float>(decay),
          .keep = options.decoupled ? static_cast<float>(1 - rate * decay) : 1,
          .rate = static_cast<float>(rate / (1 - std::pow(options.beta1, steps))),
          .correction2 = static_cast<float>(1 / std::sqrt(1 - std::pow(options.beta2, steps))),
          .epsilon = static_cast<float>(options.epsilon)};
}

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
