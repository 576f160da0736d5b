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

// How a tensor is taken apart: matrices one behind the other; none (0): not factored.
struct Matrices {
  int64_t count = 0;
  Matrix shape{};
};
// By sizes: [n, m, 1, ...] as one matrix (NVlabs/Sana), or, with `last_dimensions`, the last two dimensions
// of every leading index (came-pytorch).
Matrices FindMatrices(const std::vector<int64_t>& sizes, bool last_dimensions);

enum class Sweep { kForwards, kBackwards };

// Calls body(chunk, first row, rows).
class RowChunks {
 public:
  explicit RowChunks(Matrix matrix);
  size_t count() const { return count_; }
  using Body = std::function<void(size_t chunk, int64_t first, int64_t rows)>;
  void Run(Sweep sweep, int threads, const Body& body) const;

 private:
  int64_t rows_, step_;
  size_t count_;
};

// OfSquares and OfSums bring statistics up to date, state = beta state + (1 - beta) (mean + epsilon) for rows
// and columns, and leave row()[i] column()[j] = 1 / sqrt(r[i] c[j] / mean(r)).
class Factors {
 public:
  explicit Factors(Matrix matrix);

  // Of the means of g^2. Returns the sum of squares of g[i][j] row()[i] column()[j]. That takes no sweep of
  // its own: it is mean(r) sum_j D[j] / c[j], D[j] = sum_i g[i][j]^2 / r[i], and r[i] is known with row i.
  double OfSquares(const float* g, double beta, double epsilon, int threads, float* row_state,
                   float* column_state);
  // Of the means of what sums(first row, rows, row sums, column sums) finds, which adds to the float32 column
  // sums of at most 64 rows. `sums` may go on with this object's row() and column().
  using Sums = std::function<void(int64_t first, int64_t rows, float* row_sums, float* column_sums)>;
  void OfSums(const Sums& sums, double beta, double epsilon, int threads, float* row_state,
              float* column_state);
  void ScaleRows(double scale);
  const float* row() const { return row_.data(); }
  const float* column() const { return column_.data(); }
  // p[i][j] = (p[i][j] - decay p[i][j]) - m[i][j] row()[i] column()[j].
  void Move(const float* m, double decay, Sweep sweep, int threads, float* p) const;

 private:
  // Column sums of all rows, in double: a token table has tens of thousands of them. panel(first row, rows,
  // sums) adds to `width` float32 sums of at most 64 rows.
  using Panel = std::function<void(int64_t first, int64_t rows, float* sums)>;
  std::vector<double> ColumnSums(size_t width, Sweep sweep, int threads, const Panel& panel) const;
  void AverageColumns(const std::vector<double>& sums, double beta, double epsilon,
                      float* column_state) const;
  double InverseRoots(const float* row_state, const float* column_state);  // returns mean(r)

  const Matrix matrix_;
  const RowChunks chunks_;
  std::vector<float> row_, column_;
};

// 1 / max(1, RMS / threshold), the RMS being that of `elements` numbers whose squares sum to `squares`.
double RmsClip(double squares, int64_t elements, double threshold);

}  // namespace thimble::optim
