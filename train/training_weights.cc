#include "train/training_weights.h"

#include <ATen/ATen.h>

#include <filesystem>

#include "base/error.h"
#include "models/hub/safetensors.h"

namespace thimble::train {
namespace {

constexpr char kTrainingWeights[] = "training.safetensors";
constexpr char kProjection[] = "fit_dense";

}  // namespace

models::Weights ReadTrainingWeights(const std::string& directory, models::Model* model) {
  models::Weights words;
  const std::string path = directory + "/" + kTrainingWeights;
  if (!std::filesystem::exists(path)) return words;
  const auto file = models::ReadSafetensors(path);
  for (const auto& [name, tensor] : file.tensors)
    (name.rfind("head.", 0) == 0 ? words : model->weights).Add(name, tensor);
  if (model->weights.Has("fit_dense.weight")) {
    const auto& weight = model->weights.at("fit_dense.weight");
    if (weight.dim() != 2 || weight.size(1) != model->shape.hidden)
      throw BadRequest(path, "its projection is not of this model's states");
    model->teacher_hidden = static_cast<int>(weight.size(0));
  }
  return words;
}

void WriteTrainingWeights(const models::Model& model, const std::string& directory) {
  models::Weights kept;
  const bool words = model.head == models::TaskHead::kMaskedTokens && model.classes > 0;
  for (const auto& [name, tensor] : model.weights)
    if (name.rfind(kProjection, 0) == 0 || (words && name.rfind("head.", 0) == 0)) kept.Add(name, tensor);
  if (kept.size() > 0) models::WriteSafetensors(directory + "/" + kTrainingWeights, kept, {});
}

std::optional<models::Model> Taught(const models::Pretrained& pretrained) {
  models::Model taught = pretrained.model;
  ReadTrainingWeights(pretrained.directory, &taught);
  return taught.weights.Has("fit_dense.weight") ? std::optional(std::move(taught)) : std::nullopt;
}

void ProjectThrough(const models::Model& taught, models::Model* student) {
  const auto& onward = taught.weights.at("fit_dense.weight");
  auto &weight = student->weights.at("fit_dense.weight"), &bias = student->weights.at("fit_dense.bias");
  bias = at::addmv(taught.weights.at("fit_dense.bias"), onward, bias);
  weight = at::matmul(onward, weight);
  student->teacher_hidden = taught.teacher_hidden;
}

void NewProjection(int teacher_hidden, const Random& random, models::Model* model) {
  models::Weights others;
  for (const auto& [name, tensor] : model->weights)
    if (name.rfind(kProjection, 0) != 0) others.Add(name, tensor);
  model->weights = std::move(others);
  model->teacher_hidden = teacher_hidden;
  for (const auto& weight : {models::WeightShape{"fit_dense.weight", {teacher_hidden, model->shape.hidden}},
                             models::WeightShape{"fit_dense.bias", {teacher_hidden}}})
    model->weights.Add(weight.name, models::NewWeight(weight, random));
}

}  // namespace thimble::train
