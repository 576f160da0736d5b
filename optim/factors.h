// A matrix's statistics by row and by column, r[i] c[j] / mean(r) standing for entry (i, j): what Adafactor
// and CAME keep instead of the matrix. Sweeps over the matrix go in chunks of rows, the same whatever the
// number of threads, and alternate between forwards and backwards, so that each begins with what the last one
// left in the cache.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

namespace thimble::optim {

struct Matrix {
  int64_t rows, columns;
};

// Calls body(chunk, first row, rows).
class RowChunks {
 public:
  explicit RowChunks(Matrix matrix);
  size_t count() const { return count_; }
  using Body = std::function<void(size_t chunk, int64_t first, int64_t rows)>;
  void Forwards(int threads, const Body& body) const { Run(threads, false, body); }
  void Backwards(int threads, const Body& body) const { Run(threads, true, body); }

 private:
  void Run(int threads, bool backwards, const Body& body) const;
  int64_t rows_, step_;
  size_t count_;
};

class Factors {
 public:
  explicit Factors(Matrix matrix);

  // sums(first row, rows, row sums, column sums) adds to the float32 column sums of at most 64 rows; totals
  // are kept in double, as a token table has tens of thousands of rows.
  using Sums = std::function<void(int64_t first, int64_t rows, float* row_sums, float* column_sums)>;
  void Collect(int threads, const Sums& sums);
  // state = beta state + (1 - beta) (mean of what was collected + epsilon), for rows and columns.
  void Average(double beta, double epsilon, float* row_state, float* column_state) const;
  // From here on row()[i] column()[j] = 1 / sqrt(r[i] c[j] / mean(r)).
  void InverseRoots(const float* row_state, const float* column_state);
  void ScaleRows(double scale);
  const float* row() const { return row_.data(); }
  const float* column() const { return column_.data(); }
  // Sum of squares of g[i][j] row()[i] column()[j].
  double ScaledSquares(const float* g, int threads) const;
  // p[i][j] = (p[i][j] - decay p[i][j]) - m[i][j] row()[i] column()[j].
  void Move(const float* m, double decay, int threads, float* p) const;

 private:
  const Matrix matrix_;
  const RowChunks chunks_;
  std::vector<float> row_sums_, row_, column_;
  std::vector<double> column_sums_;  // of all rows
};

// 1 / max(1, RMS / threshold), the RMS being that of `elements` numbers whose squares sum to `squares`.
double RmsClip(double squares, int64_t elements, double threshold);

}  // namespace thimble::optim
