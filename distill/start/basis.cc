// The student's coordinates: the teacher's principal directions behind a reflection.

#include "distill/start/basis.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "distill/start/linear_fit.h"

namespace thimble::distill {

at::Tensor Signs(const at::Tensor& rows) {
  at::Tensor largest = rows.gather(1, rows.abs().argmax(1, /*keepdim=*/true));
  return at::ones_like(largest).copysign_(largest);
}

at::Tensor Basis::Matrix() const { return embed.matmul(directions); }

Basis MakeBasis(const TeacherRecord& record, int width) {
  int64_t kept = std::min<int64_t>(width, record.directions.size(0));
  // The Householder reflection that takes the first coordinate to 1 / sqrt(d) everywhere: the mean that the
  // student's LayerNorm removes is then the mean that the teacher's removes.
  at::Tensor v = at::full({width}, -1 / std::sqrt(width), at::kDouble);
  v[0] += 1;
  at::Tensor reflection = at::eye(width, at::kDouble);
  double length = v.dot(v).item<double>();
  if (length > 0) reflection -= at::outer(v, v) * (2 / length);
  return {record.directions.slice(0, 0, kept).contiguous(), reflection.slice(1, 0, kept).contiguous()};
}

std::vector<Target> MakeTargets(const models::Model& teacher, const std::vector<at::Tensor>& sums,
                                const std::vector<at::Tensor>& weights, const Basis& basis) {
  at::Tensor p = basis.Matrix().to(at::kFloat).t();
  std::vector<Target> targets;
  for (size_t norm = 0; norm < sums.size(); ++norm) {
    std::string prefix = "embedding.norm";
    if (norm > 0)
      prefix = "layer." + std::to_string((norm - 1) / 2) + (norm % 2 ? ".attention.norm" : ".ffn.0.norm");
    const at::Tensor& z = sums[norm];
    Target target;
    target.sum = (z - z.mean(1, true)).matmul(p);
    target.state = models::LayerNorm(teacher, prefix, z).matmul(p);
    if (!weights.empty()) target.weights = weights[norm];
    const auto mean = [&] {
      return target.weights.defined()
                 ? Weighed(target.state, target.weights).sum(0, true) / target.weights.sum()
                 : target.state.mean(0, true);
    };
    at::Tensor spread = z.size(0) > 1 ? target.state - mean() : target.state;
    target.variance = Weighed(spread * spread, target.weights).sum(at::kDouble).item<double>();
    targets.push_back(std::move(target));
  }
  return targets;
}

}  // namespace thimble::distill
