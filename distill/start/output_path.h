// Private to start/: fitting the linear of wb2 inside a feed-forward expression.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "models/model.h"

namespace thimble::distill {

// What an expression does with the output u of its last linear. No linear may stand above it (wb1 comes first
// in the text), so the value is an element-wise function of u and of operands that do not depend on u.
// Default: the value is u.
class OutputPath {
 public:
  OutputPath() = default;
  // Evaluates the operands for the inputs x [N, h] of block `stack` of `layer`.
  OutputPath(const models::Model& model, int layer, int stack, const models::LayerShape& shape,
             const at::Tensor& x);

  at::Tensor Apply(const at::Tensor& u) const;       // [N, h]
  at::Tensor Derivative(const at::Tensor& u) const;  // [N, h]: of each element with respect to its own u
  bool affine() const;                               // Apply(u) = u + constant
  OutputPath Every(int64_t stride) const;            // for every stride-th row of u
  // What to add to all channels of a goal y [N, h] so that the last activation can reach it better: LayerNorm
  // ignores what its channels share. Half the range for a sigmoid, into the linear part for those that are
  // flat below zero.
  double Shift(const at::Tensor& y) const;
  // A u from which to start so that Apply(u) comes near y [N, h]: exact where an activation has an inverse
  // and y is well inside its range. Undefined for a product.
  at::Tensor Start(const at::Tensor& y) const;

 private:
  struct Step {
    models::Operator op;
    at::Tensor other;  // second operand of a binary operator
  };
  std::vector<Step> steps_;  // from u to the root
};

// What enters the linear of wb2, [N, m].
at::Tensor SecondInput(const models::Model& model, int layer, int stack, const models::LayerShape& shape,
                       const at::Tensor& x);

struct LinearWeights {
  at::Tensor weight;  // [out, in] float32
  at::Tensor bias;    // [out] float32
};

// Ridge regression of linears on one input a [N, in]; the Gram matrix and its Cholesky factor are shared by
// all targets.
class LinearFit {
 public:
  LinearFit(const at::Tensor& a, double ridge);
  // Minimises |y - path(a W^T + b)|^2 + lambda |W - W0|^2, the bias free; lambda = ridge times the mean
  // diagonal of the centred Gram matrix. One solve if the path is affine, else damped Gauss-Newton steps.
  LinearWeights Solve(const OutputPath& path, const at::Tensor& y, const LinearWeights& sliced) const;

 private:
  at::Tensor Cross(const at::Tensor& y) const;  // centred a^T y, [in, out] float64
  LinearWeights Finish(const at::Tensor& weight, const at::Tensor& level) const;
  LinearWeights SolveByGaussNewton(const OutputPath& path, const at::Tensor& y,
                                   const LinearWeights& sliced) const;

  at::Tensor centred_;  // [N, in] float32
  at::Tensor mean_;     // [in] float64
  at::Tensor factor_;   // [in, in] float64, lower; undefined if the input does not vary
  double lambda_ = 0;
};

}  // namespace thimble::distill
