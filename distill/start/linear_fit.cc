#include <torch/torch.h>

#include <algorithm>

#include "distill/start/output_path.h"

namespace thimble::distill {
namespace {

constexpr int64_t kChunk = 4096;  // rows multiplied in float32 before their sum goes to float64
constexpr int kSteps = 6;

// a^T b over the rows, [in, out] float64.
at::Tensor Product(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor sum = at::zeros({a.size(1), b.size(1)}, at::kDouble);
  for (int64_t first = 0; first < a.size(0); first += kChunk) {
    int64_t end = std::min(a.size(0), first + kChunk);
    sum += a.slice(0, first, end).t().matmul(b.slice(0, first, end)).to(at::kDouble);
  }
  return sum;
}

at::Tensor Mean(const at::Tensor& x) { return x.mean(0, false, at::kDouble); }

at::Tensor SquaredError(const at::Tensor& y, const at::Tensor& value) {  // [out] float64
  at::Tensor e = y - value;
  return (e * e).sum(0, false, at::kDouble);
}

}  // namespace

LinearFit::LinearFit(const at::Tensor& a, double ridge) : mean_(Mean(a)) {
  centred_ = a - mean_.to(at::kFloat);
  at::Tensor gram = Product(centred_, centred_);
  lambda_ = ridge * gram.diagonal().mean().item<double>();
  if (!(lambda_ > 0)) return;
  factor_ = at::linalg_cholesky(gram + lambda_ * at::eye(gram.size(0), at::kDouble));
}

at::Tensor LinearFit::Cross(const at::Tensor& y) const { return Product(centred_, y); }

// `weight` [out, in] and `level` [out], float64: what the linear gives at the mean input.
LinearWeights LinearFit::Finish(const at::Tensor& weight, const at::Tensor& level) const {
  return {weight.to(at::kFloat), (level - weight.mv(mean_)).to(at::kFloat)};
}

LinearWeights LinearFit::Solve(const OutputPath& path, const at::Tensor& y,
                               const LinearWeights& sliced) const {
  if (!path.affine()) return SolveByGaussNewton(path, y, sliced);
  at::Tensor goal = y - path.Apply(at::zeros_like(y));
  at::Tensor weight = sliced.weight.to(at::kDouble), level = Mean(goal);
  if (factor_.defined()) {
    weight = at::cholesky_solve(Cross(goal - level.to(at::kFloat)) + lambda_ * weight.t(), factor_).t();
  }
  return Finish(weight, level);
}

// Output channels are separate problems min |y_c - f_c(a w_c + b_c)|^2. Their Gauss-Newton matrices a^T
// diag(f'^2) a differ; all use the shared Gram matrix times the mean f'^2 of the channel instead, with a step
// length of their own that shrinks when a step fails. A channel never gets worse on the fit rows.
LinearWeights LinearFit::SolveByGaussNewton(const OutputPath& path, const at::Tensor& y,
                                            const LinearWeights& sliced) const {
  if (!factor_.defined()) return sliced;
  const at::Tensor pull = sliced.weight.to(at::kDouble);  // [out, in]
  auto output = [&](const at::Tensor& weight, const at::Tensor& level) {
    return centred_.matmul(weight.t().to(at::kFloat)) + level.to(at::kFloat);
  };
  at::Tensor weight = pull, level = sliced.bias.to(at::kDouble) + pull.mv(mean_);
  at::Tensor u = output(weight, level), loss = SquaredError(y, path.Apply(u));
  auto take_better = [&](const at::Tensor& new_weight, const at::Tensor& new_level) {
    at::Tensor new_u = output(new_weight, new_level), new_loss = SquaredError(y, path.Apply(new_u));
    at::Tensor better = new_loss < loss;
    weight = at::where(better.unsqueeze(1), new_weight, weight);
    level = at::where(better, new_level, level);
    u = at::where(better, new_u, u);
    loss = at::where(better, new_loss, loss);
    return better;
  };
  if (at::Tensor start = path.Start(y); start.defined()) {
    at::Tensor start_level = Mean(start);
    take_better(at::cholesky_solve(Cross(start - start_level.to(at::kFloat)), factor_).t(), start_level);
  }
  at::Tensor length = at::ones_like(loss);
  for (int step = 0; step < kSteps; ++step) {
    at::Tensor slope = path.Derivative(u), r = (y - path.Apply(u)) * slope;
    at::Tensor curvature = (slope * slope).mean(0, false, at::kDouble).clamp_min(1e-6);
    at::Tensor gradient = Cross(r) / curvature + lambda_ * (pull - weight).t();
    at::Tensor move = at::cholesky_solve(gradient, factor_).t();
    at::Tensor better =
        take_better(weight + length.unsqueeze(1) * move, level + length * Mean(r) / curvature);
    length = at::where(better, (1.5 * length).clamp_max(2), 0.3 * length);
  }
  return Finish(weight, level);
}

}  // namespace thimble::distill
