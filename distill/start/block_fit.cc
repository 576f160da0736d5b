#include "distill/start/block_fit.h"

#include <ATen/ATen.h>

namespace thimble::distill {
namespace {

constexpr double kLift = 3;  // standard deviations of the state

}  // namespace

at::Tensor Values::Normalised(const LinearWeights& linear, double epsilon) {
  at::Tensor sum = view_.residual;
  if (view_.input.x.defined()) {
    if (!last_.weight.defined() || !last_.weight.is_same(linear.weight)) {
      value_ = view_.input.Apply(linear);
      last_ = linear;
    } else if (!last_.bias.is_same(linear.bias)) {
      value_ = value_ + (linear.bias - last_.bias);
      last_ = linear;
    }
    sum = view_.path.Apply(value_) + sum;
  }
  return at::layer_norm(sum, {sum.size(1)}, {}, {}, epsilon);
}

at::Tensor Lift(const at::Tensor& state) {
  int64_t width = state.size(1);
  double deviation = (state - state.mean(0)).square_().mean().sqrt().item<double>();
  at::Tensor lift = at::full({width}, kLift * deviation);
  lift.slice(0, 0, width, 2).neg_();
  return lift - lift.mean();
}

View Thin(const View& view, int64_t stride) {
  return {view.residual.slice(0, 0, view.residual.size(0), stride).contiguous(),
          view.input.x.defined() ? view.input.Every(stride) : Centred(), view.path.Every(stride),
          view.target};
}

}  // namespace thimble::distill
