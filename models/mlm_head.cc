#include "models/mlm_head.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "models/encoder/bert.h"
#include "models/finite.h"
#include "models/hub/hub_config.h"
#include "models/hub/weight_files.h"

namespace thimble::models {

Model WithMlmHead(const Model& model, const Weights* given, const Random& random) {
  Model result{model.architecture,   model.shape, model.shape.vocabulary,
               model.teacher_hidden, {},          TaskHead::kMaskedTokens};
  for (const auto& [name, tensor] : model.weights)
    if (name.rfind("head.", 0) != 0 && name.rfind("pooler.", 0) != 0) result.weights.Add(name, tensor);
  for (const WeightShape& weight :
       WeightShapes(model.shape, false, result.classes, 0, TaskHead::kMaskedTokens)) {
    if (weight.name.rfind("head.", 0) != 0) continue;
    at::Tensor tensor = given != nullptr ? given->at(weight.name) : NewWeight(weight, random);
    THIMBLE_CHECK(tensor.sizes() == at::IntArrayRef(weight.sizes), weight.name + " has another shape");
    result.weights.Add(weight.name, tensor);
  }
  return result;
}

std::optional<Weights> ReadMlmHead(const std::string& directory, const Model& model) {
  const HubConfig config = HubConfig::OfDirectory(directory);
  const WeightFiles files = OpenWeightFiles(directory, config.family());
  const std::string prefix = "cls.predictions.";
  const auto find = [&](std::initializer_list<const char*> names) -> const StoredTensor* {
    for (const char* name : names)
      if (const auto found = files.tensors.find(prefix + name); found != files.tensors.end())
        return &found->second;
    return nullptr;
  };
  if (find({"transform.dense.weight"}) == nullptr) return std::nullopt;
  const auto activation = config.Activation();
  if (ExpressionOfActivation(activation) != ExpressionOfActivation("gelu"))
    throw BadRequest(directory, "the activation of its head for masked tokens is not known here", activation,
                     "gelu");
  struct Part {
    const char* name;
    std::initializer_list<const char*> theirs;
  };
  const Part parts[] = {{"head.transform.weight", {"transform.dense.weight"}},
                        {"head.transform.bias", {"transform.dense.bias"}},
                        {"head.norm.weight", {"transform.LayerNorm.weight", "transform.LayerNorm.gamma"}},
                        {"head.norm.bias", {"transform.LayerNorm.bias", "transform.LayerNorm.beta"}},
                        {"head.bias", {"bias", "decoder.bias"}}};
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& weight :
       WeightShapes(model.shape, false, model.shape.vocabulary, 0, TaskHead::kMaskedTokens))
    shapes[weight.name] = weight.sizes;
  Weights head;
  for (const auto& [name, theirs] : parts) {
    const StoredTensor* stored = find(theirs);
    if (stored == nullptr)
      throw BadRequest(directory, "its head for masked tokens lacks " + prefix + *theirs.begin());
    if (stored->sizes != shapes.at(name))
      throw BadRequest(stored->file, prefix + *theirs.begin() + " has another shape than config.json says",
                       c10::str(at::IntArrayRef(stored->sizes)), c10::str(at::IntArrayRef(shapes.at(name))));
    const at::Tensor tensor = stored->read().to(at::kFloat);
    if (!AllFinite(tensor))
      throw WorkFailed(stored->file + ", tensor '" + stored->name + "'", CountNonFinite(tensor));
    head.Add(name, tensor);
  }
  if (const StoredTensor* decoder = find({"decoder.weight"}); decoder != nullptr) {
    const at::Tensor& table = model.weights.at("embedding.token");
    if (decoder->sizes != table.sizes().vec() || !at::equal(decoder->read().to(at::kFloat), table))
      throw BadRequest(directory,
                       "its head for masked tokens has a decoder of its own; here it is the token table");
  }
  return head;
}

}  // namespace thimble::models
