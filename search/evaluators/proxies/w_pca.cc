// W-PCA. Wang et al., ICLR 2025 ("W-PCA Based Gradient-Free Proxy for Efficient Search of Lightweight
// Language Models"). The release counts padding, too; here real tokens count alone.
#include <ATen/ATen.h>

#include "models/encoder/cost.h"
#include "search/evaluators/network_parts.h"
#include "search/evaluators/proxy.h"

namespace thimble::search::proxies {
namespace {

// The least number of principal components of `values`, [n, m], that hold `share` of their variance.
int64_t Components(const at::Tensor& values, double share) {
  const at::Tensor centred = values - values.mean(0);
  at::Tensor variances = at::linalg_eigvalsh(at::matmul(centred.t(), centred)).clamp_min(0).flip(0);
  const double total = variances.sum().item<double>();
  if (total <= 0) return 0;  // constant: nothing varies
  return (variances.cumsum(0) < share * total).sum().item<int64_t>() + 1;
}

double Value(const proto::Proxy& proxy, const models::Model& network, const models::Batch& rows) {
  int64_t components = 0;
  for (const at::Tensor& state : InnerTokens(network, rows))
    components += Components(state.to(at::kDouble), proxy.w_pca().share());
  const auto value = static_cast<double>(components);
  if (!proxy.w_pca().weighted()) return value;
  return value *
         static_cast<double>(models::DeployedParameters(network.shape, network.classes, network.head));
}

}  // namespace

ProxyFunction w_pca() { return {.of_network = Value}; }

}  // namespace thimble::search::proxies
