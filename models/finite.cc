#include "models/finite.h"

#include <ATen/ATen.h>

#include <cmath>

namespace thimble::models {

bool AllFinite(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return true;
  // A NaN is both; unlike isfinite() this makes no tensor on the way.
  const auto [least, most] = at::aminmax(tensor.detach());
  return std::isfinite(least.item<double>()) && std::isfinite(most.item<double>());
}

std::string CountNonFinite(const at::Tensor& tensor) {
  const auto count = at::isfinite(tensor.detach()).logical_not().sum().item<int64_t>();
  return "NaN or infinity in " + std::to_string(count) + " of its " + std::to_string(tensor.numel()) +
         " numbers";
}

std::optional<int64_t> FirstNonFiniteRow(const at::Tensor& logits, const at::Tensor& mask) {
  if (AllFinite(logits)) return {};
  at::Tensor bad = at::isfinite(logits.detach()).logical_not();
  if (logits.dim() == 3) bad = bad.logical_and(mask.to(at::kBool).unsqueeze(-1));
  const at::Tensor rows = bad.flatten(1).any(1).nonzero();
  return rows.size(0) > 0 ? std::optional(rows[0].item<int64_t>()) : std::nullopt;
}

std::string FirstNonFinite(const Model& model, const Batch& batch, const ResolvedArchitecture* candidate) {
  const c10::InferenceMode inference;
  const auto outputs = Forward(model, batch, {.candidate = candidate, .hidden_states = true});
  const size_t layers = outputs.hidden_states.size() - 1;
  for (size_t i = 0; i <= layers; ++i) {
    if (AllFinite(outputs.hidden_states[i])) continue;
    if (i == 0) return "the embedding's output";
    return "the output of layer " + std::to_string(i - 1) + " of " + std::to_string(layers);
  }
  return "the head's output";
}

}  // namespace thimble::models
