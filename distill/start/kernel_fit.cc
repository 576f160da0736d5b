#include "distill/start/kernel_fit.h"

#include <ATen/ATen.h>
#include <torch/optim/adam.h>

#include <cmath>

#include "base/error.h"
#include "distill/distributions.h"
#include "models/encoder/resolve.h"

namespace thimble::distill {
namespace {

constexpr double kRate = 1e-2;  // as published; it falls to 0 in a line

class Divergence {
 public:
  Divergence(const KernelFitInput& input, const models::Model& student)
      : input_(input),
        student_(student),
        heads_(models::SizeOf(student.shape, input.mixer).kernel_heads),
        fit_(Padded(input.fit, input.fit_state)),
        held_out_(Padded(input.held_out, input.held_out_state)) {
    THIMBLE_CHECK(heads_ > 0, "a mixer without a kernel");
  }

  // Sum over queries and heads, and of how many.
  LossSum OfFit(size_t step) const {
    const size_t batch = step % fit_.size();
    return Of(input_.fit.batches[batch], fit_[batch]);
  }
  double HeldOut() const {
    double sum = 0, count = 0;
    for (size_t b = 0; b < held_out_.size(); ++b) {
      const LossSum part = Of(input_.held_out.batches[b], held_out_[b]);
      sum += part.sum.item<double>();
      count += part.count;
    }
    return sum / count;
  }

 private:
  LossSum Of(const models::Batch& batch, const at::Tensor& state) const {
    const models::Mixed mixed = models::ComputeMixer(student_, input_.layer, input_.mixer, state, batch,
                                                     {.kernel_logits = true, .projections = true});
    const auto split = [&](const at::Tensor& x) {
      return x.detach().view({x.size(0), x.size(1), heads_, -1}).transpose(1, 2);
    };
    const at::Tensor query = split(mixed.projections.query), key = split(mixed.projections.key);
    const double scale = 1 / std::sqrt(static_cast<double>(query.size(-1)));
    return AttentionDivergence(mixed.kernel_logits, (query * scale).matmul(key.transpose(-2, -1)), batch.mask,
                               proto::KL);
  }

  const KernelFitInput& input_;
  const models::Model& student_;
  const int64_t heads_;
  const std::vector<at::Tensor> fit_, held_out_;
};

}  // namespace

KernelFit FitKernel(const KernelFitInput& input, models::Model* student) {
  models::Model fitted = *student;  // shares all tensors but those that are fitted
  std::vector<at::Tensor> weights;
  for (const std::string& name : input.weights) {
    at::Tensor& weight = fitted.weights.at(name);
    weight = weight.detach().clone().set_requires_grad(true);
    weights.push_back(weight);
  }
  const Divergence divergence(input, fitted);
  KernelFit result;
  result.before = result.after = divergence.HeldOut();
  torch::optim::Adam adam(weights, torch::optim::AdamOptions(kRate));
  for (int step = 0; step < input.steps; ++step) {
    const at::AutoGradMode grad(true);
    const LossSum loss = divergence.OfFit(static_cast<size_t>(step));
    adam.zero_grad();
    (loss.sum / loss.count).backward();
    adam.param_groups()[0].options().set_lr(kRate * (1 - static_cast<double>(step) / input.steps));
    adam.step();
  }
  const double after = divergence.HeldOut();
  if (!(after < result.before)) return result;
  result.after = after;
  for (size_t i = 0; i < weights.size(); ++i)
    student->weights.at(input.weights[i]).copy_(weights[i].detach());
  return result;
}

}  // namespace thimble::distill
