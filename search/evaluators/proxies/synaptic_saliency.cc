// Synaptic saliency: what the answers would lose with each weight, to first order. Tanaka et al., NeurIPS
// 2020 (SynFlow); of feed-forward blocks: Zhou et al., CVPR 2022.
#include <ATen/ATen.h>

#include "search/evaluators/network_parts.h"
#include "search/evaluators/proxy.h"

namespace thimble::search::proxies {
namespace {

double Value(const proto::Proxy&, const models::Model& network, const models::Batch& rows) {
  double sum = 0;
  for (const auto& [weight, gradient] : Gradients(network, rows, Part::kFeedForwards))
    sum += (weight * gradient).abs().sum(at::kDouble).item<double>();
  return sum;
}

}  // namespace

ProxyFunction synaptic_saliency() { return {.of_network = Value}; }

}  // namespace thimble::search::proxies
