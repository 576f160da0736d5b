#include "search/evaluators/w_pca.h"

#include <ATen/ATen.h>

#include <string>

#include "models/torch/listener.h"

namespace thimble::search {
namespace {

int64_t Components(const at::Tensor& values, double share) {
  const at::Tensor centred = values - values.mean(0);
  at::Tensor variances = at::linalg_eigvalsh(at::matmul(centred.t(), centred)).clamp_min(0).flip(0);
  const double total = variances.sum().item<double>();
  if (total <= 0) return 0;  // constant: nothing varies
  return (variances.cumsum(0) < share * total).sum().item<int64_t>() + 1;
}

// Sums the components of what the first linear of each feed-forward block returns.
class InnerStates final : public models::Listener {
 public:
  InnerStates(const models::Batch& batch, double share) : real_(batch.mask.flatten() > 0), share_(share) {}
  void OnLinear(const std::string& name, const at::Tensor&, const at::Tensor& output) override {
    if (name.ends_with(".up"))
      components += Components(output.flatten(0, 1).index({real_}).to(at::kDouble), share_);
  }
  int64_t components = 0;

 private:
  const at::Tensor real_;
  const double share_;
};

}  // namespace

int64_t PrincipalComponents(const models::Model& model, const models::Batch& batch, double share) {
  const at::NoGradGuard no_grad;
  InnerStates states(batch, share);
  models::Forward(model, batch, {.listener = &states});
  return states.components;
}

}  // namespace thimble::search
