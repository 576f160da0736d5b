#include "models/hub/model_tensors.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "models/finite.h"
#include "models/hub/weight_names.h"

namespace thimble::models {
namespace {

// Without the prefix, LayerNorm's parameters as weight and bias (gamma and beta in the first converted
// checkpoints).
std::string PlainName(std::string name, Family family) {
  if (name.starts_with(Prefix(family))) name.erase(0, Prefix(family).size());
  if (name.ends_with("LayerNorm.gamma")) return name.substr(0, name.size() - 5) + "weight";
  if (name.ends_with("LayerNorm.beta")) return name.substr(0, name.size() - 4) + "bias";
  return name;
}

// Buffers of old versions: 0, 1, 2, ... and zeros.
bool IsBuffer(const std::string& name) {
  return name.ends_with("embeddings.position_ids") || name.ends_with("embeddings.token_type_ids");
}

}  // namespace

ModelTensors::ModelTensors(WeightFiles files, std::optional<Family> family)
    : files_(std::move(files)), family_(family) {
  for (const auto& [name, tensor] : files_.tensors) {
    if (family && IsBuffer(name)) continue;
    const auto [found, fresh] = tensors_.emplace(family ? PlainName(name, *family) : name, &tensor);
    if (!fresh)
      throw BadRequest(files_.path, "holds the same weight twice",
                       "'" + tensor.name + "' and '" + found->second->name + "'");
  }
}

int64_t ModelTensors::Rows(const std::string& weight) const {
  const auto& sizes = tensors_.at(FileName(weight))->sizes;
  return sizes.empty() ? 0 : sizes[0];
}

void ModelTensors::CheckHasAll(const std::vector<WeightShape>& weights) const {
  std::vector<std::string> absent;
  for (const WeightShape& weight : weights)
    if (!Has(weight.name)) absent.push_back(FileName(weight.name));
  if (absent.empty()) return;
  throw BadRequest(files_.path, "lacks " + std::to_string(absent.size()) + " of the " +
                                    std::to_string(weights.size()) + " weights that " + Source() +
                                    " asks for: " + ListNames(absent) +
                                    (files_.obstacle.empty() ? "" : "; " + files_.obstacle));
}

at::Tensor ModelTensors::Take(const WeightShape& weight) {
  const auto found = tensors_.find(FileName(weight.name));
  THIMBLE_CHECK(found != tensors_.end(), weight.name);
  const StoredTensor& stored = *found->second;
  const std::string where = stored.file + ", tensor '" + stored.name + "'";
  if (stored.sizes != weight.sizes)
    throw BadRequest(where, "its shape disagrees with " + Source(), c10::str(at::IntArrayRef(stored.sizes)),
                     c10::str(at::IntArrayRef(weight.sizes)));
  at::Tensor tensor = stored.read();
  if (!tensor.is_floating_point()) throw BadRequest(where, "holds no floating-point numbers");
  tensor = tensor.to(at::kFloat);
  if (!AllFinite(tensor)) throw WorkFailed(where, CountNonFinite(tensor));
  tensors_.erase(found);
  ++taken_;
  return tensor;
}

std::vector<std::string> ModelTensors::Rest() const {
  std::vector<std::string> names;
  for (const auto& [plain, tensor] : tensors_) names.push_back(tensor->name);
  return names;
}

std::string ModelTensors::FileName(const std::string& weight) const {
  return family_ ? HuggingFaceName(weight, head_, *family_, pooled_, stacks_) : weight;
}

}  // namespace thimble::models
