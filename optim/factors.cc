#include "optim/factors.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "optim/kernels/kernels.h"

namespace thimble::optim {
namespace {
constexpr int64_t kPanel = 64;               // rows whose column sums are held in float32
constexpr int64_t kChunkElements = 1 << 15;  // 128 KiB: two or three such pieces fit a core's own cache
}  // namespace

RowChunks::RowChunks(Matrix matrix) : rows_(matrix.rows) {
  const int64_t panel = kPanel * std::max<int64_t>(1, matrix.columns);
  step_ = kPanel * ((kChunkElements + panel - 1) / panel);
  count_ = static_cast<size_t>((rows_ + step_ - 1) / step_);
}

void RowChunks::Run(int threads, bool backwards, const Body& body) const {
  ParallelFor(count_, threads, [&](size_t i) {
    const size_t chunk = backwards ? count_ - 1 - i : i;
    const int64_t first = static_cast<int64_t>(chunk) * step_;
    body(chunk, first, std::min(step_, rows_ - first));
  });
}

Factors::Factors(Matrix matrix)
    : matrix_(matrix),
      chunks_(matrix),
      row_sums_(matrix.rows),
      row_(matrix.rows),
      column_(matrix.columns),
      column_sums_(matrix.columns) {}

void Factors::Collect(int threads, const Sums& sums) {
  const auto columns = static_cast<size_t>(matrix_.columns);
  std::vector<double> parts(chunks_.count() * columns);
  chunks_.Forwards(threads, [&](size_t chunk, int64_t first, int64_t rows) {
    std::vector<float> panel(columns);
    double* part = parts.data() + chunk * columns;
    for (int64_t done = 0; done < rows; done += kPanel) {
      std::fill(panel.begin(), panel.end(), 0.0f);
      sums(first + done, std::min(kPanel, rows - done), row_sums_.data() + first + done, panel.data());
      for (size_t j = 0; j < columns; ++j) part[j] += panel[j];
    }
  });
  std::fill(column_sums_.begin(), column_sums_.end(), 0.0);
  for (size_t chunk = 0; chunk < chunks_.count(); ++chunk)
    for (size_t j = 0; j < columns; ++j) column_sums_[j] += parts[chunk * columns + j];
}

void Factors::Average(double beta, double epsilon, float* row_state, float* column_state) const {
  const auto old = static_cast<float>(beta), rest = static_cast<float>(1 - beta);
  const auto floor = static_cast<float>(epsilon);
  const auto columns = static_cast<float>(matrix_.columns);
  for (int64_t i = 0; i < matrix_.rows; ++i)
    row_state[i] = old * row_state[i] + rest * (row_sums_[i] / columns + floor);
  for (int64_t j = 0; j < matrix_.columns; ++j)
    column_state[j] =
        old * column_state[j] +
        rest * (static_cast<float>(column_sums_[j] / static_cast<double>(matrix_.rows)) + floor);
}

void Factors::InverseRoots(const float* row_state, const float* column_state) {
  double mean = 0;
  for (int64_t i = 0; i < matrix_.rows; ++i) mean += row_state[i];
  mean /= static_cast<double>(matrix_.rows);
  for (int64_t i = 0; i < matrix_.rows; ++i) row_[i] = static_cast<float>(std::sqrt(mean / row_state[i]));
  for (int64_t j = 0; j < matrix_.columns; ++j) column_[j] = 1 / std::sqrt(column_state[j]);
}

void Factors::ScaleRows(double scale) {
  for (float& value : row_) value = static_cast<float>(value * scale);
}

double Factors::ScaledSquares(const float* g, int threads) const {
  std::vector<double> parts(chunks_.count());
  chunks_.Backwards(threads, [&](size_t chunk, int64_t first, int64_t rows) {
    parts[chunk] = Kernel().scaled_squares(g + first * matrix_.columns, rows, matrix_.columns,
                                           row_.data() + first, column_.data());
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

void Factors::Move(const float* m, double decay, int threads, float* p) const {
  chunks_.Backwards(threads, [&](size_t, int64_t first, int64_t rows) {
    const int64_t at = first * matrix_.columns;
    Kernel().factored_move(m + at, rows, matrix_.columns, row_.data() + first, column_.data(),
                           static_cast<float>(decay), p + at);
  });
}

double RmsClip(double squares, int64_t elements, double threshold) {
  return 1 / std::max(1.0, std::sqrt(squares / static_cast<double>(elements)) / threshold);
}

}  // namespace thimble::optim
