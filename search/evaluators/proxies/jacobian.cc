// How alike the Jacobians of different rows are. By the eigenvalues of their correlations: Mellor et al.,
// 2020 ("Neural Architecture Search without Training", the first version). By cosines: Celotti et al., 2020
// ("Improving zero-shot neural architecture search with parameters scoring"). At the embedding's output,
// since tokens have no gradient.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "search/evaluators/network_parts.h"
#include "search/evaluators/proxy.h"

namespace thimble::search::proxies {
namespace {

constexpr double kLeast = 1e-5;  // k

double Covariance(const at::Tensor& jacobians) {
  const at::Tensor values = at::linalg_eigvalsh(at::corrcoef(jacobians)) + kLeast;
  return -(values.log() + values.reciprocal()).sum().item<double>();
}

double Cosine(const at::Tensor& jacobians) {
  const int64_t n = jacobians.size(0);
  const at::Tensor units = jacobians / jacobians.norm(2, {1}, /*keepdim=*/true);
  const at::Tensor cosines = at::matmul(units, units.t()).triu(1).abs();
  return 1 - cosines.pow(1.0 / 20).sum().item<double>() / static_cast<double>(n * (n - 1));
}

double Value(const proto::Proxy& proxy, const models::Model& network, const models::Batch& rows) {
  const models::Outputs outputs = models::Forward(network, rows, {.hidden_states = true});
  const at::Tensor gradient =
      torch::autograd::grad({SummedAnswers(network, outputs, rows)}, {outputs.hidden_states[0]})[0];
  const at::NoGradGuard no_grad;
  // A row shares no token with another. Places that are padding in all rows say nothing.
  const at::Tensor jacobians =
      gradient.index_select(1, rows.mask.amax(0).nonzero().flatten()).flatten(1).to(at::kDouble);
  return proxy.jacobian().form() == proto::JacobianScore::COSINE ? Cosine(jacobians) : Covariance(jacobians);
}

}  // namespace

ProxyFunction jacobian() { return {.of_network = Value}; }

}  // namespace thimble::search::proxies
