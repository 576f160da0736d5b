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

Matrices FindMatrices(const std::vector<int64_t>& sizes, bool last_dimensions) {
  const size_t n = sizes.size();
  if (n < 2) return {};
  int64_t leading = 1, trailing = 1;
  for (size_t d = 0; d + 2 < n; ++d) leading *= sizes[d];
  for (size_t d = 2; d < n; ++d) trailing *= sizes[d];
  if (last_dimensions) return {leading, {sizes[n - 2], sizes[n - 1]}};
  return trailing == 1 ? Matrices{1, {sizes[0], sizes[1]}} : Matrices{};
}

RowChunks::RowChunks(Matrix matrix) : rows_(matrix.rows) {
  const int64_t panel = kPanel * std::max<int64_t>(1, matrix.columns);
  step_ = kPanel * ((kChunkElements + panel - 1) / panel);
  count_ = static_cast<size_t>((rows_ + step_ - 1) / step_);
}

void RowChunks::Run(Sweep sweep, int threads, const Body& body) const {
  ParallelFor(count_, threads, [&](size_t i) {
    const size_t chunk = sweep == Sweep::kBackwards ? count_ - 1 - i : i;
    const int64_t first = static_cast<int64_t>(chunk) * step_;
    body(chunk, first, std::min(step_, rows_ - first));
  });
}

Factors::Factors(Matrix matrix)
    : matrix_(matrix), chunks_(matrix), row_(matrix.rows), column_(matrix.columns) {}

std::vector<double> Factors::ColumnSums(size_t width, Sweep sweep, int threads, const Panel& panel) const {
  std::vector<double> parts(chunks_.count() * width);
  chunks_.Run(sweep, threads, [&](size_t chunk, int64_t first, int64_t rows) {
    std::vector<float> sums(width);
    double* part = parts.data() + chunk * width;
    for (int64_t done = 0; done < rows; done += kPanel) {
      std::fill(sums.begin(), sums.end(), 0.0f);
      panel(first + done, std::min(kPanel, rows - done), sums.data());
      for (size_t j = 0; j < width; ++j) part[j] += sums[j];
    }
  });
  std::vector<double> all(width);
  for (size_t chunk = 0; chunk < chunks_.count(); ++chunk)
    for (size_t j = 0; j < width; ++j) all[j] += parts[chunk * width + j];
  return all;
}

void Factors::AverageColumns(const std::vector<double>& sums, double beta, double epsilon,
                             float* column_state) const {
  const auto old = static_cast<float>(beta), rest = static_cast<float>(1 - beta);
  for (int64_t j = 0; j < matrix_.columns; ++j)
    column_state[j] =
        old * column_state[j] + rest * (static_cast<float>(sums[j] / static_cast<double>(matrix_.rows)) +
                                        static_cast<float>(epsilon));
}

double Factors::InverseRoots(const float* row_state, const float* column_state) {
  double mean = 0;
  for (int64_t i = 0; i < matrix_.rows; ++i) mean += row_state[i];
  mean /= static_cast<double>(matrix_.rows);
  for (int64_t i = 0; i < matrix_.rows; ++i) row_[i] = static_cast<float>(std::sqrt(mean / row_state[i]));
  for (int64_t j = 0; j < matrix_.columns; ++j) column_[j] = 1 / std::sqrt(column_state[j]);
  return mean;
}

double Factors::OfSquares(const float* g, double beta, double epsilon, int threads, float* row_state,
                          float* column_state) {
  const int64_t columns = matrix_.columns;
  const auto sums =
      ColumnSums(2 * static_cast<size_t>(columns), Sweep::kForwards, threads,
                 [&](int64_t first, int64_t rows, float* both) {
                   Kernel().square_sums(g + first * columns, rows, columns, static_cast<float>(beta),
                                        static_cast<float>(1 - beta), static_cast<float>(epsilon),
                                        row_state + first, both, both + columns);
                 });
  AverageColumns(sums, beta, epsilon, column_state);
  const double mean = InverseRoots(row_state, column_state);
  double squares = 0;
  for (int64_t j = 0; j < columns; ++j) squares += sums[columns + j] / column_state[j];
  return mean * squares;
}

void Factors::OfSums(const Sums& sums, double beta, double epsilon, int threads, float* row_state,
                     float* column_state) {
  std::vector<float> row_sums(matrix_.rows);
  const auto column_sums = ColumnSums(column_.size(), Sweep::kBackwards, threads,
                                      [&](int64_t first, int64_t rows, float* of_columns) {
                                        sums(first, rows, row_sums.data() + first, of_columns);
                                      });
  const auto old = static_cast<float>(beta), rest = static_cast<float>(1 - beta);
  for (int64_t i = 0; i < matrix_.rows; ++i)
    row_state[i] = old * row_state[i] +
                   rest * (row_sums[i] / static_cast<float>(matrix_.columns) + static_cast<float>(epsilon));
  AverageColumns(column_sums, beta, epsilon, column_state);
  InverseRoots(row_state, column_state);
}

void Factors::ScaleRows(double scale) {
  for (float& value : row_) value = static_cast<float>(value * scale);
}

void Factors::Move(const float* m, double decay, Sweep sweep, int threads, float* p) const {
  chunks_.Run(sweep, threads, [&](size_t, int64_t first, int64_t rows) {
    const int64_t at = first * matrix_.columns;
    Kernel().factored_move(m + at, rows, matrix_.columns, row_.data() + first, column_.data(),
                           static_cast<float>(decay), p + at);
  });
}

double RmsClip(double squares, int64_t elements, double threshold) {
  return 1 / std::max(1.0, std::sqrt(squares / static_cast<double>(elements)) / threshold);
}

}  // namespace thimble::optim
