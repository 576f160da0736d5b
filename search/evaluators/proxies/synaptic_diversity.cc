// Synaptic diversity: a linear whose matrix and gradient have many directions. Zhou et al., CVPR 2022
// ("Training-free Transformer Architecture Search").
#include <ATen/ATen.h>

#include "search/evaluators/network_parts.h"
#include "search/evaluators/proxy.h"

namespace thimble::search::proxies {
namespace {

double NuclearNorm(const at::Tensor& matrix) {
  return at::linalg_svdvals(matrix).sum(at::kDouble).item<double>();
}

double Value(const proto::Proxy&, const models::Model& network, const models::Batch& rows) {
  double sum = 0;
  for (const auto& [weight, gradient] : Gradients(network, rows, Part::kMixers))
    sum += NuclearNorm(weight) * NuclearNorm(gradient);
  return sum;
}

}  // namespace

ProxyFunction synaptic_diversity() { return {.of_network = Value}; }

}  // namespace thimble::search::proxies
