// Adafactor. Shazeer and Stern, ICML 2018, algorithm 4 for matrices and algorithm 5 for other tensors,
// without momentum: beta2 = 1 - t^-decay_power, rate max(epsilon2, RMS(p)) min(learning rate, 1 / sqrt(t)).
// Decoupled decay as torch.optim.Adafactor.
#include <algorithm>
#include <cmath>

#include "optim/factors.h"
#include "optim/floats.h"
#include "optim/kernels/kernels.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {
namespace {

class Adafactor final : public Optimizer {
 public:
  Adafactor(const proto::Adafactor& spec, Parameters parameters)
      : Optimizer(std::move(parameters), spec.learning_rate(), spec.weight_decay()), spec_(spec) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const at::IntArrayRef sizes = parameters_[i].value.sizes();
      Slot slot;
      if (sizes.size() == 2) {
        slot.row = AddState(i, "row", sizes[0]);
        slot.column = AddState(i, "column", sizes[1]);
      } else {
        slot.full = AddState(i, "second_moment", sizes);
      }
      slot.steps = AddState(i, "steps", {1});
      slots_.push_back(slot);
    }
  }

 protected:
  void Update(const Work& work) override {
    const Slot& slot = slots_[work.parameter];
    const at::Tensor& tensor = parameters_[work.parameter].value;
    const int64_t n = tensor.numel();
    *slot.steps += 1;  // exact in float32 up to 16 million
    const double steps = *slot.steps, beta = 1 - std::pow(steps, -spec_.decay_power());
    const double squares = SumPieces(n, work.threads, [&](int64_t first, int64_t count) {
      return Kernel().squares(work.value + first, count);
    });
    const double size = std::max(spec_.epsilon2(), std::sqrt(squares / static_cast<double>(n)));
    const double rate = size * std::min(work.rate, 1 / std::sqrt(steps)), decay = work.rate * work.decay;
    if (slot.full == nullptr)
      UpdateMatrix(work, {tensor.size(0), tensor.size(1)}, beta, rate, decay);
    else
      UpdateOther(work, n, beta, rate, decay);
  }

 private:
  struct Slot {
    float *row = nullptr, *column = nullptr, *full = nullptr, *steps = nullptr;
  };

  void UpdateMatrix(const Work& work, Matrix matrix, double beta, double rate, double decay) {
    const Slot& slot = slots_[work.parameter];
    Factors factors(matrix);
    const double squares =
        factors.OfSquares(work.gradient, beta, spec_.epsilon1(), work.threads, slot.row, slot.column);
    factors.ScaleRows(rate * RmsClip(squares, matrix.rows * matrix.columns, spec_.clip_threshold()));
    factors.Move(work.gradient, decay, Sweep::kBackwards, work.threads, work.value);
  }

  void UpdateOther(const Work& work, int64_t n, double beta, double rate, double decay) {
    float* full = slots_[work.parameter].full;
    const double squares = SumPieces(n, work.threads, [&](int64_t first, int64_t count) {
      return Kernel().second_moment(work.gradient + first, count, static_cast<float>(beta),
                                    static_cast<float>(1 - beta), static_cast<float>(spec_.epsilon1()),
                                    full + first);
    });
    const auto step = static_cast<float>(rate * RmsClip(squares, n, spec_.clip_threshold()));
    ForPieces(n, work.threads, [&](int64_t first, int64_t count) {
      Kernel().root_move(work.gradient + first, count, full + first, static_cast<float>(decay), step,
                         work.value + first);
    });
  }

  const proto::Adafactor spec_;
  std::vector<Slot> slots_;
};

}  // namespace

OptimizerEntry adafactor() {
  return {.state_bytes =
              "4 (n + m + 1) bytes for a matrix of n rows and m columns, 4 (n + 1) for another tensor of n "
              "elements: second moments and the step count",
          .make = [](const proto::Optimizer& spec, Parameters parameters) -> std::unique_ptr<Optimizer> {
            return std::make_unique<Adafactor>(spec.adafactor(), std::move(parameters));
          }};
}

}  // namespace thimble::optim
