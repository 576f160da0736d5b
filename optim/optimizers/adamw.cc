// AdamW. Loshchilov and Hutter, ICLR 2019, algorithm 2, with the schedule's multiplier on the decay too, as
// torch does.
#include <cmath>

#include "base/clones.h"
#include "optim/floats.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {
namespace {

struct Rates {
  float beta1, rest1;          // of the first moment: old, new
  float beta2, rest2;          // of the second
  float keep;                  // 1 - rate * decay
  float rate;                  // bias correction of the first moment included
  float correction2, epsilon;  // 1 / root of the second moment's bias correction
};

THIMBLE_CLONES void Move(const Rates& rates, int64_t n, const float* g, float* m, float* v, float* p) {
  const Rates r = rates;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    m[i] = r.beta1 * m[i] + r.rest1 * g[i];
    v[i] = r.beta2 * v[i] + r.rest2 * g[i] * g[i];
    p[i] = r.keep * p[i] - r.rate * m[i] / (std::sqrt(v[i]) * r.correction2 + r.epsilon);
  }
}

class AdamW final : public Optimizer {
 public:
  AdamW(const proto::AdamW& spec, Parameters parameters) : Optimizer(std::move(parameters)), spec_(spec) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const at::IntArrayRef sizes = parameters_[i].value.sizes();
      float* first = AddState(i, "first_moment", sizes);
      float* second = AddState(i, "second_moment", sizes);
      slots_.push_back({first, second, AddState(i, "steps", {1})});
    }
  }

 protected:
  void Update(size_t i, double factor, const float* gradient, float* value) override {
    const Slot& slot = slots_[i];
    *slot.steps += 1;  // exact in float32 up to 16 million
    const double rate = spec_.learning_rate() * factor;
    const double decay = parameters_[i].decay ? spec_.weight_decay() : 0;
    const double steps = *slot.steps;
    const Rates rates = {.beta1 = static_cast<float>(spec_.beta1()),
                         .rest1 = static_cast<float>(1 - spec_.beta1()),
                         .beta2 = static_cast<float>(spec_.beta2()),
                         .rest2 = static_cast<float>(1 - spec_.beta2()),
                         .keep = static_cast<float>(1 - rate * decay),
                         .rate = static_cast<float>(rate / (1 - std::pow(spec_.beta1(), steps))),
                         .correction2 = static_cast<float>(1 / std::sqrt(1 - std::pow(spec_.beta2(), steps))),
                         .epsilon = static_cast<float>(spec_.epsilon())};
    Move(rates, parameters_[i].value.numel(), gradient, slot.first, slot.second, value);
  }

 private:
  struct Slot {
    float *first, *second, *steps;
  };
  const proto::AdamW spec_;
  std::vector<Slot> slots_;
};

}  // namespace

OptimizerEntry adamw() {
  return {.state_bytes = "4 (2 n + 1) bytes for a tensor of n elements: two moments and the step count",
          .make = [](const proto::Optimizer& spec, Parameters parameters) -> std::unique_ptr<Optimizer> {
            return std::make_unique<AdamW>(spec.adamw(), std::move(parameters));
          }};
}

}  // namespace thimble::optim
