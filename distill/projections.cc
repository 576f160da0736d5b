#include "distill/projections.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "distill/loss.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

constexpr char kShared[] = "fit_dense";

bool HasShared(const models::Model& student) { return student.weights.Has(std::string(kShared) + ".weight"); }
std::string Own(int state) { return std::string(kShared) + "." + std::to_string(state); }

}  // namespace

void CheckProjection(const proto::Objective& objective, const models::Model& student, int teacher_hidden,
                     const std::string& where) {
  if (student.shape.hidden == teacher_hidden || HasShared(student)) return;
  for (int i = 0; i < objective.loss_size(); ++i) {
    const LossEntry& entry = EntryOf(objective.loss(i));
    if (entry.hidden_states)
      throw BadRequest(
          where + ".loss[" + std::to_string(i) + "]." + entry.name,
          "the student has no projection of its states to its teacher's width",
          std::to_string(student.shape.hidden) + " and " + std::to_string(teacher_hidden) + " channels",
          "`thimble distill TEACHER --student DIR`, which trains one, or an objective without " + entry.name);
  }
}

void AddOwnProjections(const proto::Objective& objective, const std::vector<models::Model*>& models) {
  const models::Weights& first = models.front()->weights;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    for (models::Model* model : models) model->weights.Add(name, tensor);
  };
  for (const auto& loss : objective.loss())
    for (const std::string& linear : EntryOf(loss).OwnLinears(loss)) {
      const int64_t width = models.front()->shape.hidden;
      for (const models::WeightShape& weight :
           {models::WeightShape{OwnLinear(linear) + ".weight", {width, width}},
            models::WeightShape{OwnLinear(linear) + ".bias", {width}}})
        if (!first.Has(weight.name)) add(weight.name, models::NewWeight(weight, Random(1)));
    }
  if (!HasShared(*models.front())) return;
  const auto layers = static_cast<int>(models.front()->shape.layers.size());
  for (const auto& loss : objective.loss()) {
    const LossEntry& entry = EntryOf(loss);
    if (entry.own_projections == nullptr || !entry.own_projections(loss)) continue;
    for (int state = 0; state <= layers; ++state) {
      const std::string own = Own(state);
      if (!entry.ComparesState(loss, state, layers) || first.Has(own + ".weight")) continue;
      for (const char* part : {".weight", ".bias"})
        add(own + part, first.at(std::string(kShared) + part).detach().clone());
    }
  }
}

std::string OwnLinear(const std::string& name) { return std::string(kShared) + "." + name; }

std::string ProjectionOf(const models::Weights& weights, int state, bool own) {
  return own && weights.Has(Own(state) + ".weight") ? Own(state) : kShared;
}

}  // namespace thimble::distill
