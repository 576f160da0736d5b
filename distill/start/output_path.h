// Private to start/: fitting the last linear inside a feed-forward block, whatever its kind.
#pragma once
#include <ATen/core/Tensor.h>

#include <variant>
#include <vector>

#include "models/encoder/ops.h"
#include "models/model.h"

namespace thimble::distill {

struct FeedForwardReading;

// What a block does with the output u of its last linear, the one named "down": nothing but words that work
// element by element stand behind it, so that the value is an element-wise function of u and of operands that
// do not depend on u. Default: the value is u.
class OutputPath {
 public:
  at::Tensor Apply(const at::Tensor& u) const;       // [N, h]
  at::Tensor Derivative(const at::Tensor& u) const;  // [N, h]: of each element with respect to its own u
  bool affine() const;                               // Apply(u) = u + constant
  bool identity() const { return steps_.empty(); }   // Apply(u) = u
  OutputPath Every(int64_t stride) const;            // for every stride-th row of u
  // What to add to all channels of a goal y [N, h] so that the last activation can reach it better: LayerNorm
  // ignores what its channels share. Half the range for a sigmoid, into the linear part for those that are
  // flat below zero.
  double Shift(const at::Tensor& y) const;
  // A u from which to start so that Apply(u) comes near y [N, h]: exact where an activation has an inverse
  // and y is well inside its range. Undefined for a product, or where u or what is made of it is read twice.
  at::Tensor Start(const at::Tensor& y) const;

  // A word of Ops. Values are numbered: 0 is u, i what step i - 1 makes; the last step makes the block's
  // value.
  struct Step {
    bool Is(models::Combination how) const {
      const auto* is = std::get_if<models::Combination>(&word);
      return is != nullptr && *is == how;
    }
    std::variant<models::Function, models::Combination> word;
    int from = 0;
    int with = -1;     // of a combination the second operand; -1: `other`
    at::Tensor other;  // [N, h]
  };

 private:
  friend FeedForwardReading ReadFeedForward(const models::Model& model, int layer, int stack,
                                            const models::LayerShape& shape, const at::Tensor& x,
                                            at::Tensor* memory);
  std::vector<Step> steps_;
};

struct FeedForwardReading {
  at::Tensor input;  // of the linear "down", [N, m]; undefined of a block that is its norm alone
  OutputPath path;
};

// Of block `stack` of `layer` for its inputs x [N, h], by its walk. `input` is in `memory`, which blocks
// share. CHECK: the block's value is the output of "down", or made of it element by element.
FeedForwardReading ReadFeedForward(const models::Model& model, int layer, int stack,
                                   const models::LayerShape& shape, const at::Tensor& x, at::Tensor* memory);

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
  LinearFit(const Centred& a, double ridge);
  // Minimises |y - path(a W^T + b)|^2 + lambda |W - W0|^2, rows by their weights, the bias free; lambda =
  // ridge times the mean diagonal of the centred Gram matrix. One solve if the path is affine, else damped
  // Gauss-Newton steps.
  LinearWeights Solve(const OutputPath& path, const at::Tensor& y, const LinearWeights& sliced) const;

 private:
  LinearWeights Finish(const at::Tensor& weight, const at::Tensor& level) const;
  LinearWeights SolveByGaussNewton(const OutputPath& path, const at::Tensor& y,
                                   const LinearWeights& sliced) const;

  Centred a_;
  at::Tensor factor_;  // [in, in] float64, lower; undefined if the input does not vary
  double lambda_ = 0;
};

}  // namespace thimble::distill
