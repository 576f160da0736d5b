// AdaHessian. Yao et al., AAAI 2021, algorithm 1: Adam with the root of the averaged square of the Hessian's
// diagonal, to the power k, in the denominator. The diagonal is |H z| for random signs z, its mean over each
// row of a matrix and over all but the first two dimensions of larger tensors; so only one number a row is
// kept.
#include <cmath>

#include "base/error.h"
#include "optim/floats.h"
#include "optim/kernels/kernels.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {
namespace {

class AdaHessian final : public Optimizer {
 public:
  AdaHessian(const proto::AdaHessian& spec, Parameters parameters)
      : Optimizer(std::move(parameters), spec.learning_rate(), spec.weight_decay()), spec_(spec) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const at::IntArrayRef sizes = parameters_[i].value.sizes();
      Slot slot;
      slot.rows = 1;
      const size_t kept = sizes.size() == 2 ? 1 : 2;
      for (size_t d = 0; d < std::min(kept, sizes.size()); ++d) slot.rows *= sizes[d];
      slot.momentum = AddState(i, "momentum", sizes);
      slot.curvature = AddState(i, "curvature", {slot.rows});
      slot.steps = AddState(i, "steps", {1});
      slots_.push_back(slot);
    }
  }

 protected:
  double curvature_difference() const override { return spec_.difference(); }

  void Update(const Work& work) override {
    const Slot& slot = slots_[work.parameter];
    const at::Tensor& product = Curvature(work.parameter);
    THIMBLE_CHECK(product.defined(), parameters_[work.parameter].name + " has a gradient but no Hessian");
    const float* h = product.const_data_ptr<float>();
    const int64_t columns = product.numel() / slot.rows;
    *slot.steps += 1;  // exact in float32 up to 16 million
    const double steps = *slot.steps, beta1 = spec_.beta1(), beta2 = spec_.beta2();
    const double correction1 = 1 / (1 - std::pow(beta1, steps)),
                 correction2 = 1 / (1 - std::pow(beta2, steps));
    const auto decay = static_cast<float>(work.rate * work.decay);
    ForPieces(slot.rows, work.threads, [&](int64_t first, int64_t count) {
      for (int64_t i = first; i < first + count; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < columns; ++j) sum += std::fabs(static_cast<double>(h[i * columns + j]));
        const double mean = sum / static_cast<double>(columns);
        slot.curvature[i] = static_cast<float>(beta2 * slot.curvature[i] + (1 - beta2) * mean * mean);
        const double root =
            std::pow(std::sqrt(slot.curvature[i] * correction2), spec_.hessian_power()) + spec_.epsilon();
        Kernel().scaled_momentum(work.gradient + i * columns, columns, static_cast<float>(beta1),
                                 static_cast<float>(1 - beta1),
                                 static_cast<float>(work.rate * correction1 / root), decay,
                                 slot.momentum + i * columns, work.value + i * columns);
      }
    });
  }

 private:
  struct Slot {
    int64_t rows;
    float *momentum, *curvature, *steps;
  };
  const proto::AdaHessian spec_;
  std::vector<Slot> slots_;
};

}  // namespace

OptimizerEntry adahessian() {
  return {.state_bytes =
              "4 (n m + n + 1) bytes for a matrix of n rows and m columns, 4 (2 n + 1) for a vector of n "
              "elements: momentum, curvature of each row and the step count; 4 more for the random stream",
          .needs_float32 = "takes small differences of gradients",
          .make = [](const proto::Optimizer& spec, Parameters parameters) -> std::unique_ptr<Optimizer> {
            return std::make_unique<AdaHessian>(spec.adahessian(), std::move(parameters));
          }};
}

}  // namespace thimble::optim
