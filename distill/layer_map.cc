#include "distill/layer_map.h"

#include <algorithm>

#include "base/error.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

std::string ListText(const std::vector<int>& values) {
  std::string text = "[";
  for (const int value : values) text += (text.size() > 1 ? ", " : "") + std::to_string(value);
  return text + "]";
}

std::string Depths(int student_layers, int teacher_layers) {
  return "a student of " + std::to_string(student_layers) + " layers and a teacher of " +
         std::to_string(teacher_layers);
}

}  // namespace

std::vector<int> NearestLayers(int student_layers, int teacher_layers) {
  std::vector<int> nearest;
  for (int i = 1; i <= student_layers; ++i)
    nearest.push_back(std::max(1, (2 * i * teacher_layers + student_layers) / (2 * student_layers)));
  return nearest;
}

std::vector<int> LayerMapOf(const proto::Objective& objective, int student_layers, int teacher_layers) {
  if (objective.layer_map().empty() && objective.layers() == proto::Objective::NEAREST)
    return NearestLayers(student_layers, teacher_layers);
  if (!objective.layer_map().empty() || objective.layers() == proto::Objective::UNIFORM)
    return LayerMap(student_layers, teacher_layers,
                    std::vector<int>(objective.layer_map().begin(), objective.layer_map().end()));
  if (student_layers > teacher_layers)
    throw BadRequest("objective.layers", "the teacher has too few layers for the first or the last ones",
                     Depths(student_layers, teacher_layers), "layers: NEAREST, or a layer_map");
  const int before = objective.layers() == proto::Objective::LAST ? teacher_layers - student_layers : 0;
  std::vector<int> map;
  for (int i = 1; i <= student_layers; ++i) map.push_back(before + i);
  return map;
}

std::vector<int> StatedLayers(const proto::Objective& objective, int student_layers, int teacher_layers) {
  if (objective.layer_map().empty() && objective.layers() == proto::Objective::UNIFORM) return {};
  return LayerMapOf(objective, student_layers, teacher_layers);
}

std::vector<int> LayerMap(int student_layers, int teacher_layers, const std::vector<int>& chosen) {
  THIMBLE_CHECK(student_layers > 0 && teacher_layers > 0, "a model without layers");
  const std::string depths = Depths(student_layers, teacher_layers);
  if (chosen.empty()) {
    std::vector<int> map;
    for (int i = 1; i <= student_layers; ++i)
      map.push_back((i * teacher_layers + student_layers - 1) / student_layers);
    if (teacher_layers % student_layers != 0)
      throw BadRequest(
          "objective.layer_map", "the uniform map needs a teacher whose depth is a multiple of the student's",
          depths,
          "layers: NEAREST, or one teacher layer for each student layer, for instance layer_map: " +
              ListText(map));
    return map;
  }
  if (chosen.size() != static_cast<size_t>(student_layers))
    throw BadRequest("objective.layer_map", "it needs one teacher layer for each student layer",
                     ListText(chosen) + " for " + depths, std::to_string(student_layers) + " numbers");
  for (const int layer : chosen)
    if (layer < 1 || layer > teacher_layers)
      throw BadRequest("objective.layer_map", "the teacher has no layer " + std::to_string(layer),
                       ListText(chosen) + " for " + depths, "1 to " + std::to_string(teacher_layers));
  return chosen;
}

}  // namespace thimble::distill
