// Private to start/: weighted least squares for linears.
#pragma once
#include <ATen/core/Tensor.h>

#include "distill/start/output_path.h"

namespace thimble::distill {

struct LinearWeights {
  at::Tensor weight;  // [out, in] float32
  at::Tensor bias;    // [out] float32
};

// Sums over rows, [k] float64, of x [N, k]: float32 within 64 rows. (A reduction of float32 to float64 along
// the first dimension takes LibTorch twenty times as long.)
at::Tensor ColumnSums(const at::Tensor& x);

// What a linear reads, about its mean: a = x + mean.
struct Centred {
  Centred() = default;
  // Takes `a` over and centres it in place. `weights` [N] of rows in all regressions on it; undefined: 1
  // each.
  explicit Centred(const at::Tensor& a, at::Tensor weights = {});
  Centred Every(int64_t stride) const;                  // every stride-th row; the mean stays that of all
  at::Tensor Apply(const LinearWeights& linear) const;  // a W^T + b, [N, out]
  at::Tensor Mean(const at::Tensor& y) const;  // of y [N, k] over the rows, by their weights, [k] float64

  at::Tensor x;        // [N, in] float32
  at::Tensor mean;     // [in] float64
  at::Tensor weights;  // [N] float32, or undefined
};

// Rows of x [N, k] by weights [N]; x itself where these are undefined.
at::Tensor Weighed(const at::Tensor& x, const at::Tensor& weights);

// x^T diag(weights) x over the rows, [in, in] float64.
at::Tensor Gram(const at::Tensor& x, const at::Tensor& weights = {});
void AddGram(const at::Tensor& rows, at::Tensor* upper);  // rows^T rows, on and above the diagonal
at::Tensor Symmetric(const at::Tensor& upper);            // from what stands on and above the diagonal
// a^T diag(weights) b over the rows, [in, out] float64.
at::Tensor Product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& weights = {});

// Ridge regression of linears on one input; the Gram matrix and its Cholesky factor are shared by all
// targets.
class LinearFit {
 public:
  // `groups`: channels of a group of the output depend on those of the same group of `a` alone; weights,
  // dense here, are zero elsewhere.
  LinearFit(const Centred& a, double ridge, int64_t groups = 1);
  // Minimises |y - path(a W^T + b)|^2 + lambda |W - W0|^2, rows by their weights, the bias free; lambda =
  // ridge times the mean diagonal of the centred Gram matrix. One solve if the path is affine, else damped
  // Gauss-Newton steps.
  LinearWeights Solve(const OutputPath& path, const at::Tensor& y, const LinearWeights& sliced) const;

 private:
  LinearWeights Finish(const at::Tensor& weight, const at::Tensor& level) const;
  LinearWeights SolveByGaussNewton(const OutputPath& path, const at::Tensor& y,
                                   const LinearWeights& sliced) const;
  at::Tensor InGroups(const at::Tensor& matrix) const;  // zero elsewhere

  Centred a_;
  int64_t groups_;
  at::Tensor factor_;  // [in, in] float64, lower; undefined if the input does not vary
  double lambda_ = 0;
};

}  // namespace thimble::distill
