// CAME. Luo et al., ACL 2023, algorithm 2, with what its published code adds: row and column means instead of
// sums (the same ratio), and decay decoupled from the update. The paper has no rule for tensors that are not
// matrices: as the published code does for vectors, they keep a full second moment and no confidence
// statistics.
//
// Per matrix: one sweep for row and column sums of the squared gradient, one for the norm of the update, one
// for momentum and residual sums, one to move the weights. No temporary of the matrix's size.
#include <algorithm>
#include <cmath>

#include "base/clones.h"
#include "optim/floats.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {
namespace {

// Column sums of this many rows are held in float32, their total in double: a token table has tens of
// thousands of rows.
constexpr int64_t kPanel = 64;

THIMBLE_CLONES void SquareSums(const float* g, int64_t rows, int64_t columns, float* row_sums,
                               float* column_sums) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* x = g + i * columns;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < columns; ++j) {
      const float square = x[j] * x[j];
      sum += square;
      column_sums[j] += square;
    }
    row_sums[i] = sum;
  }
}

// Sum of squares of g[i][j] * row[i] * column[j].
THIMBLE_CLONES double UpdateSquares(const float* g, int64_t rows, int64_t columns, const float* row,
                                    const float* column) {
  double total = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const float* x = g + i * columns;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < columns; ++j) sum += (x[j] * column[j]) * (x[j] * column[j]);
    total += static_cast<double>(sum) * row[i] * row[i];
  }
  return total;
}

// Steps 4 and 5: momentum of the update, sums of the squared distance between the two.
THIMBLE_CLONES void Momentum(const float* g, int64_t rows, int64_t columns, const float* row,
                             const float* column, float beta, float rest, float* momentum, float* row_sums,
                             float* column_sums) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* x = g + i * columns;
    float* m = momentum + i * columns;
    const float scale = row[i];
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < columns; ++j) {
      const float update = x[j] * column[j] * scale;
      m[j] = beta * m[j] + rest * update;
      const float square = (update - m[j]) * (update - m[j]);
      sum += square;
      column_sums[j] += square;
    }
    row_sums[i] = sum;
  }
}

THIMBLE_CLONES void Move(const float* momentum, int64_t rows, int64_t columns, const float* row,
                         const float* column, float decay, float* value) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* m = momentum + i * columns;
    float* p = value + i * columns;
    const float scale = row[i];
#pragma omp simd
    for (int64_t j = 0; j < columns; ++j) p[j] = (p[j] - decay * p[j]) - m[j] * column[j] * scale;
  }
}

// Step 1 without factors; the sum of squares of the update.
THIMBLE_CLONES double FullSecondMoment(const float* g, int64_t n, float beta, float rest, float epsilon,
                                       float* moment) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    moment[i] = beta * moment[i] + rest * (g[i] * g[i] + epsilon);
    const float update = g[i] / std::sqrt(moment[i]);
    sum += static_cast<double>(update) * static_cast<double>(update);
  }
  return sum;
}

// Decay is subtracted, not multiplied by (1 - rate * decay), which float32 would round by up to 3e-8 in the
// same direction at every step. The momentum itself is not scaled by the rate: a port that scales it in place
// loses it.
THIMBLE_CLONES void FullMove(const float* g, int64_t n, const float* moment, float scale, float beta,
                             float rest, float decay, float rate, float* momentum, float* value) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    momentum[i] = beta * momentum[i] + rest * (g[i] / std::sqrt(moment[i]) * scale);
    value[i] = (value[i] - decay * value[i]) - rate * momentum[i];
  }
}

// state = beta * state + (1 - beta) * (mean + epsilon), the mean being sums / count.
template <typename Sum>
void Average(const std::vector<Sum>& sums, int64_t count, double beta, double epsilon, float* state) {
  const auto old = static_cast<float>(beta), rest = static_cast<float>(1 - beta);
  const auto floor = static_cast<float>(epsilon);
  for (size_t i = 0; i < sums.size(); ++i)
    state[i] = old * state[i] + rest * (static_cast<float>(sums[i] / count) + floor);
}

// Statistics of a matrix by row and by column, and what one step makes of them.
struct Factors {
  float *row_state, *column_state;
};

struct Scratch {
  Scratch(int64_t rows, int64_t columns)
      : row_sums(rows), row(rows), panel(columns), column(columns), column_sums(columns) {}
  std::vector<float> row_sums, row, panel, column;
  std::vector<double> column_sums;

  // Calls `sums(first row, rows, row sums, column sums)` panel by panel; fills row_sums and column_sums.
  template <typename Sums>
  void Collect(const Sums& sums) {
    const auto rows = static_cast<int64_t>(row_sums.size());
    std::fill(column_sums.begin(), column_sums.end(), 0.0);
    for (int64_t first = 0; first < rows; first += kPanel) {
      std::fill(panel.begin(), panel.end(), 0.0f);
      sums(first, std::min(kPanel, rows - first), row_sums.data() + first, panel.data());
      for (size_t j = 0; j < panel.size(); ++j) column_sums[j] += panel[j];
    }
  }

  // row[i] * column[j] = 1 / sqrt(R[i] * C[j] / mean(R)).
  void InverseRoots(const Factors& factors) {
    double mean = 0;
    for (size_t i = 0; i < row.size(); ++i) mean += factors.row_state[i];
    mean /= static_cast<double>(row.size());
    for (size_t i = 0; i < row.size(); ++i)
      row[i] = static_cast<float>(std::sqrt(mean / factors.row_state[i]));
    for (size_t j = 0; j < column.size(); ++j) column[j] = 1 / std::sqrt(factors.column_state[j]);
  }

  void ScaleRows(double scale) {
    for (float& value : row) value = static_cast<float>(value * scale);
  }
};

class Came final : public Optimizer {
 public:
  Came(const proto::Came& spec, Parameters parameters) : Optimizer(std::move(parameters)), spec_(spec) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const at::IntArrayRef sizes = parameters_[i].value.sizes();
      Slot slot;
      slot.momentum = AddState(i, "momentum", sizes);
      if (sizes.size() == 2) {
        slot.moment = {AddState(i, "row", sizes[0]), AddState(i, "column", sizes[1])};
        slot.residual = {AddState(i, "residual_row", sizes[0]), AddState(i, "residual_column", sizes[1])};
      } else {
        slot.full = AddState(i, "second_moment", sizes);
      }
      slots_.push_back(slot);
    }
  }

 protected:
  void Update(size_t i, double factor, const float* gradient, float* value) override {
    const at::Tensor& tensor = parameters_[i].value;
    const double rate = spec_.learning_rate() * factor;
    const auto decay = static_cast<float>(parameters_[i].decay ? rate * spec_.weight_decay() : 0);
    if (tensor.dim() == 2)
      UpdateMatrix(slots_[i], tensor.size(0), tensor.size(1), rate, decay, gradient, value);
    else
      UpdateOther(slots_[i], tensor.numel(), rate, decay, gradient, value);
  }

 private:
  struct Slot {
    float *momentum = nullptr, *full = nullptr;
    Factors moment{}, residual{};
  };

  // Step 3: 1 / max(1, RMS / threshold).
  double Clip(double squares, int64_t elements) const {
    return 1 / std::max(1.0, std::sqrt(squares / static_cast<double>(elements)) / spec_.clip_threshold());
  }

  void UpdateMatrix(const Slot& slot, int64_t rows, int64_t columns, double rate, float decay, const float* g,
                    float* p) {
    const auto beta1 = static_cast<float>(spec_.beta1()), rest1 = static_cast<float>(1 - spec_.beta1());
    Scratch s(rows, columns);
    s.Collect([&](int64_t first, int64_t count, float* row_sums, float* column_sums) {
      SquareSums(g + first * columns, count, columns, row_sums, column_sums);
    });
    Average(s.row_sums, columns, spec_.beta2(), spec_.epsilon1(), slot.moment.row_state);
    Average(s.column_sums, rows, spec_.beta2(), spec_.epsilon1(), slot.moment.column_state);
    s.InverseRoots(slot.moment);
    s.ScaleRows(Clip(UpdateSquares(g, rows, columns, s.row.data(), s.column.data()), rows * columns));
    s.Collect([&](int64_t first, int64_t count, float* row_sums, float* column_sums) {
      Momentum(g + first * columns, count, columns, s.row.data() + first, s.column.data(), beta1, rest1,
               slot.momentum + first * columns, row_sums, column_sums);
    });
    Average(s.row_sums, columns, spec_.beta3(), spec_.epsilon2(), slot.residual.row_state);
    Average(s.column_sums, rows, spec_.beta3(), spec_.epsilon2(), slot.residual.column_state);
    s.InverseRoots(slot.residual);
    s.ScaleRows(rate);
    Move(slot.momentum, rows, columns, s.row.data(), s.column.data(), decay, p);
  }

  void UpdateOther(const Slot& slot, int64_t n, double rate, float decay, const float* g, float* p) {
    const double squares =
        FullSecondMoment(g, n, static_cast<float>(spec_.beta2()), static_cast<float>(1 - spec_.beta2()),
                         static_cast<float>(spec_.epsilon1()), slot.full);
    FullMove(g, n, slot.full, static_cast<float>(Clip(squares, n)), static_cast<float>(spec_.beta1()),
             static_cast<float>(1 - spec_.beta1()), decay, static_cast<float>(rate), slot.momentum, p);
  }

  const proto::Came spec_;
  std::vector<Slot> slots_;
};

}  // namespace

OptimizerEntry came() {
  return {
      .state_bytes =
          "4 (n m + 2 n + 2 m) bytes for a matrix of n rows and m columns, 8 n for another tensor of n "
          "elements",
      .without_warmup =
          "nothing corrects its moments for their start at zero, so its first step is 11 learning rates long",
      .make = [](const proto::Optimizer& spec, Parameters parameters) -> std::unique_ptr<Optimizer> {
        return std::make_unique<Came>(spec.came(), std::move(parameters));
      }};
}

}  // namespace thimble::optim
