// CAME. Luo et al., ACL 2023, algorithm 2, with what its published code adds: row and column means instead of
// sums (the same ratio), and decay decoupled from the update. The paper has no rule for tensors that are not
// matrices: as the published code does for vectors, they keep a full second moment and no confidence
// statistics.
//
// Per matrix: one sweep for the statistics of the squared gradient and the norm of the update, one for
// momentum and residual sums, one to move the weights. No temporary of the matrix's size.
#include "optim/factors.h"
#include "optim/floats.h"
#include "optim/kernels/kernels.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {
namespace {

class Came final : public Optimizer {
 public:
  Came(const proto::Came& spec, Parameters parameters)
      : Optimizer(std::move(parameters), spec.learning_rate(), spec.weight_decay()), spec_(spec) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const std::vector<int64_t> sizes = parameters_[i].value.sizes().vec();
      Slot slot;
      slot.momentum = AddState(i, "momentum", sizes);
      slot.matrices = FindMatrices(sizes, spec.factoring() == proto::LAST_DIMENSIONS);
      if (slot.matrices.count > 0) {
        const std::vector<int64_t> rows = {slot.matrices.count * slot.matrices.shape.rows},
                                   columns = {slot.matrices.count * slot.matrices.shape.columns};
        slot.row = AddState(i, "row", rows);
        slot.column = AddState(i, "column", columns);
        slot.residual_row = AddState(i, "residual_row", rows);
        slot.residual_column = AddState(i, "residual_column", columns);
      } else {
        slot.full = AddState(i, "second_moment", sizes);
      }
      slots_.push_back(slot);
    }
  }

 protected:
  void Update(const Work& work) override {
    if (slots_[work.parameter].full != nullptr)
      UpdateOther(work);
    else
      UpdateMatrices(work);
  }

 private:
  struct Slot {
    float *momentum = nullptr, *full = nullptr;
    float *row = nullptr, *column = nullptr, *residual_row = nullptr, *residual_column = nullptr;
    Matrices matrices;
  };

  // One set of statistics a matrix, one bound for the whole tensor.
  void UpdateMatrices(const Work& work) {
    const Slot& slot = slots_[work.parameter];
    const int64_t rows = slot.matrices.shape.rows, columns = slot.matrices.shape.columns;
    const int64_t size = rows * columns;
    const auto beta1 = static_cast<float>(spec_.beta1()), rest1 = static_cast<float>(1 - spec_.beta1());
    std::vector<Factors> factors;
    factors.reserve(static_cast<size_t>(slot.matrices.count));
    double squares = 0;
    for (int64_t k = 0; k < slot.matrices.count; ++k) {
      const float* g = work.gradient + k * size;
      squares += factors.emplace_back(slot.matrices.shape)
                     .OfSquares(g, spec_.beta2(), spec_.epsilon1(), work.threads, slot.row + k * rows,
                                slot.column + k * columns);
    }
    const double clip = RmsClip(squares, slot.matrices.count * size, spec_.clip_threshold());
    for (int64_t k = 0; k < slot.matrices.count; ++k) {
      const float* g = work.gradient + k * size;
      float* momentum = slot.momentum + k * size;
      Factors& f = factors[k];
      f.ScaleRows(clip);
      f.OfSums(
          [&](int64_t first, int64_t count, float* row_sums, float* column_sums) {
            Kernel().came_momentum(g + first * columns, count, columns, f.row() + first, f.column(), beta1,
                                   rest1, momentum + first * columns, row_sums, column_sums);
          },
          spec_.beta3(), spec_.epsilon2(), work.threads, slot.residual_row + k * rows,
          slot.residual_column + k * columns);
      f.ScaleRows(work.rate);
      f.Move(momentum, work.rate * work.decay, Sweep::kForwards, work.threads, work.value + k * size);
    }
  }

  void UpdateOther(const Work& work) {
    const Slot& slot = slots_[work.parameter];
    const int64_t n = parameters_[work.parameter].value.numel();
    const auto decay = static_cast<float>(work.rate * work.decay);
    const double squares = SumPieces(n, work.threads, [&](int64_t first, int64_t count) {
      return Kernel().second_moment(work.gradient + first, count, static_cast<float>(spec_.beta2()),
                                    static_cast<float>(1 - spec_.beta2()),
                                    static_cast<float>(spec_.epsilon1()), slot.full + first);
    });
    const auto scale = static_cast<float>(RmsClip(squares, n, spec_.clip_threshold()));
    ForPieces(n, work.threads, [&](int64_t first, int64_t count) {
      Kernel().moment_move(work.gradient + first, count, slot.full + first, scale,
                           static_cast<float>(spec_.beta1()), static_cast<float>(1 - spec_.beta1()), decay,
                           static_cast<float>(work.rate), slot.momentum + first, work.value + first);
    });
  }

  const proto::Came spec_;
  std::vector<Slot> slots_;
};

}  // namespace

OptimizerEntry came() {
  return {.state_bytes =
              "4 (n m + 2 n + 2 m) bytes for a matrix of n rows and m columns, 8 n for another tensor of n "
              "elements",
          .without_warmup =
              "nothing corrects its moments for their start at zero, so the first step of a matrix is 11 "
              "learning "
              "rates long (RMS), and with a gradient that stays the same step 10 is 34 and step 300 is 49",
          .make = [](const proto::Optimizer& spec, Parameters parameters) -> std::unique_ptr<Optimizer> {
            return std::make_unique<Came>(spec.came(), std::move(parameters));
          }};
}

}  // namespace thimble::optim
