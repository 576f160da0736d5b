#include "tools/loss_table.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <vector>

#include "distill/objective.h"
#include "tools/common.h"

namespace thimble::tools {
namespace {

// Whether a loss needs a teacher layer for each of the student's.
bool ComparesLayers(const proto::Loss& loss) {
  return loss.has_attention_scores() || loss.has_attention_distributions() || loss.has_hidden_states();
}

}  // namespace

std::string LossTable(const proto::Objective& objective, int layers, int teacher_layers) {
  std::vector<int> layer_map;
  if (std::any_of(objective.loss().begin(), objective.loss().end(), ComparesLayers))
    layer_map = distill::LayerMapOf(objective, layers, teacher_layers);
  std::vector<std::vector<std::string>> table = {{"student", "teacher", "losses"}};
  const auto name = [](const proto::Loss& loss) {
    return loss.GetReflection()->GetOneofFieldDescriptor(loss, loss.GetDescriptor()->oneof_decl(0))->name();
  };
  const auto add = [&](const std::string& student, const std::string& teacher, const auto& takes_part) {
    std::string losses;
    for (const auto& loss : objective.loss())
      if (takes_part(loss)) losses += (losses.empty() ? "" : ", ") + name(loss);
    if (!losses.empty()) table.push_back({student, teacher, losses});
  };
  add("embedding", "embedding", [&](const proto::Loss& loss) {
    return loss.has_hidden_states() && distill::ComparesState(loss.hidden_states(), 0, layers);
  });
  for (int i = 1; i <= static_cast<int>(layer_map.size()); ++i)
    add("layer " + std::to_string(i), "layer " + std::to_string(layer_map[i - 1]), [&](const proto::Loss& loss) {
      return loss.has_attention_scores() ||
             (loss.has_attention_distributions() && (i == layers || !loss.attention_distributions().last_layer())) ||
             (loss.has_hidden_states() && distill::ComparesState(loss.hidden_states(), i, layers));
    });
  for (const auto& loss : objective.loss())
    if (loss.has_minilm_relations()) {
      const int given = loss.minilm_relations().teacher_layer();
      table.push_back({"layer " + std::to_string(layers), "layer " + std::to_string(given > 0 ? given : teacher_layers), name(loss)});
    }
  add("head", "head", [](const proto::Loss& loss) { return loss.has_soft_labels(); });
  add("head", "labels", [](const proto::Loss& loss) { return loss.has_hard_labels(); });
  return Table(table);
}

}  // namespace thimble::tools
