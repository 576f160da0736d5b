#include "search/evaluators/w_pca.h"

#include <torch/torch.h>

#include <string>

namespace thimble::search {
namespace {

int64_t Components(const at::Tensor& values, double share) {
  const at::Tensor centred = values - values.mean(0);
  at::Tensor variances = at::linalg_eigvalsh(at::matmul(centred.t(), centred)).clamp_min(0).flip(0);
  const double total = variances.sum().item<double>();
  if (total <= 0) return 0;  // constant: nothing varies
  return (variances.cumsum(0) < share * total).sum().item<int64_t>() + 1;
}

}  // namespace

int64_t PrincipalComponents(const models::Model& model, const models::Batch& batch, double share) {
  const at::NoGradGuard no_grad;
  const at::Tensor real = batch.mask.flatten() > 0;
  at::Tensor x = models::Normalise(model, "embedding.norm", models::EmbeddingSum(model, batch));
  int64_t sum = 0;
  for (size_t l = 0; l < model.shape.layers.size(); ++l) {
    const auto layer = static_cast<int>(l);
    const std::string name = "layer." + std::to_string(l);
    const at::Tensor entered = x;
    const models::LayerInput input = models::EnterLayer(model, layer, entered);
    const at::Tensor context = models::Attend(model, layer, input.query_key, batch, {}, &input.value).context;
    x = models::Normalise(model, name + ".attention.norm",
                          input.residual + models::Linear(model, name + ".attention.out", context));
    const auto& shape = model.shape.layers[l];
    for (int stack = 0; stack < shape.stacks; ++stack) {
      at::Tensor inner;
      const at::Tensor value = models::FeedForwardValue(model, layer, stack, shape, x, nullptr, &inner);
      sum += Components(inner.flatten(0, 1).index({real}).to(at::kDouble), share);
      x = models::Normalise(model, name + ".ffn." + std::to_string(stack) + ".norm", x + value);
    }
    x = models::LeaveLayer(model, layer, entered, x);
  }
  return sum;
}

}  // namespace thimble::search
