#include "distill/start/form_cut.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "models/encoder/resolve.h"
#include "models/encoder/trace.h"

namespace thimble::distill {
namespace {

Neurons NeuronsOf(const models::Model& model, const std::string& scope) {
  const auto weight = [&](const char* name) { return model.weights.at(scope + name).to(at::kDouble); };
  return {weight("up.weight"), weight("up.bias"), weight("down.weight"), weight("down.bias")};
}

}  // namespace

models::Model CropToForm(const models::Model& supernet, const proto::Architecture& candidate,
                         const std::function<BlockState(int layer)>& state) {
  const models::ResolvedArchitecture shape = models::Resolve(candidate);
  proto::Architecture dense = candidate;
  std::vector<int> changed;
  for (int i = 0; i < candidate.layer_size(); ++i) {
    const proto::FeedForward &ours = candidate.layer(i).ffn(), &whole = supernet.architecture.layer(i).ffn();
    if (shape.layers[i].width == 0 || models::SameForm(ours, whole)) continue;
    THIMBLE_CHECK(models::IsDense(whole), "a supernet of blocks that are not dense");
    auto* ffn = dense.mutable_layer(i)->mutable_ffn();
    *ffn = whole;
    ffn->clear_ratio();
    ffn->set_stacks(shape.layers[i].stacks);
    ffn->set_width(shape.layers[i].width + ours.routed().shared());
    changed.push_back(i);
  }
  models::Model cropped = models::CropCandidate(supernet, dense);
  if (changed.empty()) return cropped;

  models::Model student{candidate, shape, supernet.classes, supernet.teacher_hidden, {}, supernet.head};
  const Random random(1);  // of routers and gates
  for (const models::WeightShape& weight :
       models::WeightShapes(shape, supernet.weights.Has("pooler.weight"), student.classes,
                            student.teacher_hidden, student.head)) {
    const bool same =
        cropped.weights.Has(weight.name) && cropped.weights.at(weight.name).sizes() == weight.sizes;
    student.weights.Add(weight.name,
                        same ? cropped.weights.at(weight.name) : models::NewWeight(weight, random));
  }
  for (const auto& [name, tensor] : cropped.weights)  // of states
    if (name.starts_with("fit_dense.") && !student.weights.Has(name)) student.weights.Add(name, tensor);
  for (const int layer : changed)
    for (int stack = 0; stack < shape.layers[layer].stacks; ++stack) {
      const std::string scope = "layer." + std::to_string(layer) + ".ffn." + std::to_string(stack) + ".";
      SetBlocks(NeuronsOf(cropped, scope), state(layer), shape.layers[layer], scope, /*writes=*/true,
                &student);
    }
  return student;
}

}  // namespace thimble::distill
