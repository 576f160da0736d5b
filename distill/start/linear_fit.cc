#include "distill/start/linear_fit.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "distill/start/block_cut.h"
#include "distill/start/output_path.h"

namespace thimble::distill {
namespace {

constexpr int64_t kChunk = 4096;       // rows multiplied in float32 before their sum goes to float64
constexpr int64_t kSumRows = 64;       // rows added in float32
constexpr int64_t kColumnBlock = 128;  // a Gram matrix is symmetric: blocks left of the diagonal are copied
constexpr int kSteps = 6;

at::Tensor WeighedMean(const at::Tensor& x, const at::Tensor& weights) {
  return ColumnSums(Weighed(x, weights)) /
         (weights.defined() ? weights.sum(at::kDouble).item<double>() : x.size(0));
}

}  // namespace

at::Tensor ColumnSums(const at::Tensor& x) {
  const int64_t whole = x.size(0) / kSumRows * kSumRows;
  at::Tensor sums = x.slice(0, whole).sum(0).to(at::kDouble);
  if (whole > 0) {
    sums += x.slice(0, 0, whole).reshape({-1, kSumRows, x.size(1)}).sum(1).to(at::kDouble).sum(0);
  }
  return sums;
}

at::Tensor Weighed(const at::Tensor& x, const at::Tensor& weights) {
  return weights.defined() ? x * weights.unsqueeze(1) : x;
}

at::Tensor Product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& weights) {
  at::Tensor sum = at::zeros({a.size(1), b.size(1)}, at::kDouble);
  for (int64_t first = 0; first < a.size(0); first += kChunk) {
    const int64_t end = std::min(a.size(0), first + kChunk);
    const at::Tensor weighed =
        Weighed(b.slice(0, first, end), weights.defined() ? weights.slice(0, first, end) : weights);
    sum += a.slice(0, first, end).t().matmul(weighed);
  }
  return sum;
}

void AddGram(const at::Tensor& rows, at::Tensor* gram) {
  for (int64_t c = 0; c < rows.size(1); c += kColumnBlock) {
    const int64_t end = std::min(rows.size(1), c + kColumnBlock);
    gram->slice(0, c, end).slice(1, c) += rows.slice(1, c, end).t().matmul(rows.slice(1, c));
  }
}

at::Tensor Symmetric(const at::Tensor& upper) { return at::triu(upper) + at::triu(upper, 1).t(); }

at::Tensor Gram(const at::Tensor& x, const at::Tensor& weights) {
  at::Tensor gram = at::zeros({x.size(1), x.size(1)}, at::kDouble);
  const at::Tensor roots = weights.defined() ? weights.sqrt() : weights;
  for (int64_t first = 0; first < x.size(0); first += kChunk) {
    const int64_t end = std::min(x.size(0), first + kChunk);
    AddGram(Weighed(x.slice(0, first, end), roots.defined() ? roots.slice(0, first, end) : roots), &gram);
  }
  return Symmetric(gram);
}

Centred::Centred(const at::Tensor& a, at::Tensor weights)
    : x(a), mean(WeighedMean(a, weights)), weights(std::move(weights)) {
  x -= mean.to(at::kFloat);
}

Centred Centred::Every(int64_t stride) const {
  Centred thin;
  thin.x = x.slice(0, 0, x.size(0), stride).contiguous();
  thin.mean = mean;
  if (weights.defined()) thin.weights = weights.slice(0, 0, x.size(0), stride).contiguous();
  return thin;
}

at::Tensor Centred::Mean(const at::Tensor& y) const { return WeighedMean(y, weights); }

at::Tensor Centred::Apply(const LinearWeights& linear) const {
  const at::Tensor level = linear.bias.to(at::kDouble) + linear.weight.to(at::kDouble).mv(mean);
  return at::linear(x, linear.weight, level.to(at::kFloat));
}

LinearFit::LinearFit(const Centred& a, double ridge, int64_t groups) : a_(a), groups_(groups) {
  at::Tensor gram = InGroups(Gram(a_.x, a_.weights));
  lambda_ = ridge * gram.diagonal().mean().item<double>();
  if (!(lambda_ > 0)) return;
  gram.diagonal() += lambda_;
  factor_ = at::linalg_cholesky(gram);
}

at::Tensor LinearFit::InGroups(const at::Tensor& matrix) const {
  return FromDiagonalBlocks(DiagonalBlocks(matrix, groups_), groups_);
}

// `weight` [out, in] and `level` [out], float64: what the linear gives at the mean input.
LinearWeights LinearFit::Finish(const at::Tensor& weight, const at::Tensor& level) const {
  return {weight.to(at::kFloat).contiguous(), (level - weight.mv(a_.mean)).to(at::kFloat)};
}

LinearWeights LinearFit::Solve(const OutputPath& path, const at::Tensor& y,
                               const LinearWeights& sliced) const {
  if (!path.affine()) return SolveByGaussNewton(path, y, sliced);
  at::Tensor goal = path.identity() ? y : y - path.Apply(at::zeros_like(y));
  at::Tensor weight = sliced.weight.to(at::kDouble), level = a_.Mean(goal);
  if (factor_.defined()) {
    weight =
        at::cholesky_solve(
            InGroups(Product(a_.x, goal - level.to(at::kFloat), a_.weights)) + lambda_ * weight.t(), factor_)
            .t();
  }
  return Finish(weight, level);
}

// Output channels are separate problems min |y_c - f_c(a w_c + b_c)|^2. Their Gauss-Newton matrices a^T
// diag(f'^2) a differ; all use the shared Gram matrix times the mean f'^2 of the channel instead, with a step
// length of their own that shrinks when a step fails. A channel never gets worse on the fit rows. The start
// is solved for in float64; steps are float32, for a step that rounding spoils is refused like any other.
LinearWeights LinearFit::SolveByGaussNewton(const OutputPath& path, const at::Tensor& y,
                                            const LinearWeights& sliced) const {
  if (!factor_.defined()) return sliced;
  const at::Tensor pull = sliced.weight;  // [out, in]
  const at::Tensor inverse = at::cholesky_inverse(factor_).to(at::kFloat);
  auto output = [&](const at::Tensor& weight, const at::Tensor& level) {
    return at::linear(a_.x, weight, level.to(at::kFloat));
  };
  at::Tensor weight = pull, level = sliced.bias.to(at::kDouble) + pull.to(at::kDouble).mv(a_.mean);
  const auto squared_error = [&](const at::Tensor& value) {  // [out] float64
    return ColumnSums(Weighed((y - value).square_(), a_.weights));
  };
  at::Tensor u = output(weight, level), value = path.Apply(u), loss = squared_error(value);
  auto take_better = [&](const at::Tensor& new_weight, const at::Tensor& new_level) {
    at::Tensor new_u = output(new_weight, new_level), new_value = path.Apply(new_u),
               new_loss = squared_error(new_value);
    at::Tensor better = new_loss < loss;
    weight = at::where(better.unsqueeze(1), new_weight, weight);
    level = at::where(better, new_level, level);
    u = at::where(better, new_u, u);
    value = at::where(better, new_value, value);
    loss = at::where(better, new_loss, loss);
    return better;
  };
  if (at::Tensor start = path.Start(y); start.defined()) {
    at::Tensor start_level = a_.Mean(start);
    take_better(
        at::cholesky_solve(InGroups(Product(a_.x, start - start_level.to(at::kFloat), a_.weights)), factor_)
            .t()
            .to(at::kFloat)
            .contiguous(),
        start_level);
  }
  at::Tensor length = at::ones_like(loss);
  for (int step = 0; step < kSteps; ++step) {
    at::Tensor slope = path.Derivative(u), r = (y - value) * slope;
    at::Tensor curvature = a_.Mean(slope.square_()).clamp_min(1e-6);
    at::Tensor gradient =
        (InGroups(Product(a_.x, r, a_.weights)) / curvature).t().to(at::kFloat) + lambda_ * (pull - weight);
    at::Tensor move = gradient.matmul(inverse);  // symmetric
    at::Tensor better = take_better(weight + length.to(at::kFloat).unsqueeze(1) * move,
                                    level + length * a_.Mean(r) / curvature);
    length = at::where(better, (1.5 * length).clamp_max(2), 0.3 * length);
  }
  return Finish(weight.to(at::kDouble), level);
}

}  // namespace thimble::distill
