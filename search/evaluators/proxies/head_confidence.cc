// Head confidence: heads that look at one token are useful ones. Voita et al., ACL 2019; over a network's
// heads: Serianni and Kalita, ACL 2023, whose sum over layers of means this is.
#include <ATen/ATen.h>

#include <limits>

#include "search/evaluators/proxy.h"

namespace thimble::search::proxies {
namespace {

double Value(const proto::Proxy&, const models::Model& network, const models::Batch& rows) {
  const at::Tensor padding = (rows.mask == 0).unsqueeze(1).unsqueeze(1);  // [B, 1, 1, T]
  const at::Tensor real = rows.mask.unsqueeze(1).to(at::kDouble);         // [B, 1, T]
  double sum = 0;
  for (const at::Tensor& scores :
       models::Forward(network, rows, {.attention_logits = true}).attention_logits) {
    if (!scores.defined()) continue;  // of a layer without a mixer
    const at::Tensor shares =
        at::softmax(scores.masked_fill(padding, -std::numeric_limits<float>::infinity()), -1);
    const at::Tensor most = shares.amax(-1).to(at::kDouble) * real;  // [B, H, T]
    sum += (most.sum() / (real.sum() * scores.size(1))).item<double>();
  }
  return sum;
}

}  // namespace

ProxyFunction head_confidence() { return {.of_network = Value}; }

}  // namespace thimble::search::proxies
