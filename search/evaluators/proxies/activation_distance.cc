// Activation distance: inputs that activations tell apart. Mellor et al., ICML 2021 ("Neural Architecture
// Search without Training"): log |K|, K[s, t] the number of channels less the Hamming distance of two codes.
// What is compared are the tokens of a row, as Serianni and Kalita, ACL 2023, do; rows are often alike in
// [CLS]. Equal codes make K singular: k = 1e-5 is added to its diagonal.
#include <ATen/ATen.h>

#include "search/evaluators/network_parts.h"
#include "search/evaluators/proxy.h"

namespace thimble::search::proxies {
namespace {

constexpr double kLeast = 1e-5;  // k

double Value(const proto::Proxy&, const models::Model& network, const models::Batch& rows) {
  std::vector<at::Tensor> codes;
  for (const at::Tensor& state : InnerStates(network, rows)) codes.push_back((state > 0).to(at::kFloat));
  if (codes.empty()) return 0;  // K of no channels
  const at::Tensor all = at::cat(codes, 2);
  double sum = 0;
  for (int64_t row = 0; row < rows.rows(); ++row) {
    const at::Tensor code = all[row].index({rows.mask[row] > 0});  // [t, channels]
    const at::Tensor off = 1 - code;
    const at::Tensor alike = (at::matmul(code, code.t()) + at::matmul(off, off.t())).to(at::kDouble);
    sum +=
        std::get<1>(at::linalg_slogdet(alike + kLeast * at::eye(alike.size(0), at::kDouble))).item<double>();
  }
  return sum / static_cast<double>(rows.rows());
}

}  // namespace

ProxyFunction activation_distance() { return {.of_network = Value}; }

}  // namespace thimble::search::proxies
