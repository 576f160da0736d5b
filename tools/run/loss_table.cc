#include "tools/run/loss_table.h"

#include <algorithm>
#include <vector>

#include "distill/layer_map.h"
#include "distill/loss.h"
#include "tools/table.h"

namespace thimble::tools {
namespace {

using distill::LossEntry;

// Whether a loss needs a teacher layer for each of the student's.
bool ComparesLayers(const proto::Loss& loss) {
  const LossEntry& entry = distill::EntryOf(loss);
  return entry.attention_logits || entry.hidden_states;
}

std::string Layer(int layer) { return "layer " + std::to_string(layer); }

}  // namespace

std::vector<LossRow> LossRows(const proto::Objective& objective, int layers, int teacher_layers) {
  std::vector<int> layer_map;
  if (std::any_of(objective.loss().begin(), objective.loss().end(), ComparesLayers))
    layer_map = distill::LayerMapOf(objective, layers, teacher_layers);
  std::vector<LossRow> table;
  const auto add = [&](const std::string& student, const std::string& teacher, const auto& takes_part) {
    std::string losses;
    for (const auto& loss : objective.loss()) {
      const LossEntry& entry = distill::EntryOf(loss);
      if (takes_part(entry, loss)) losses += (losses.empty() ? "" : ", ") + entry.name;
    }
    if (!losses.empty()) table.push_back({student, teacher, losses});
  };
  add("embedding", "embedding",
      [&](const LossEntry& entry, const proto::Loss& loss) { return entry.ComparesState(loss, 0, layers); });
  for (int i = 1; i <= static_cast<int>(layer_map.size()); ++i)
    add(Layer(i), Layer(layer_map[i - 1]), [&](const LossEntry& entry, const proto::Loss& loss) {
      return (entry.attention_logits && entry.ComparesLayer(loss, i - 1, layers)) ||
             entry.ComparesState(loss, i, layers);
    });
  // Queries, keys and values are compared with layers of the loss's own choice.
  for (const auto& loss : objective.loss()) {
    const LossEntry& entry = distill::EntryOf(loss);
    if (!entry.projections) continue;
    const auto of_teacher = entry.make(loss)->ProjectionLayers(teacher_layers);
    for (int i = 0; i < layers; ++i)
      if (entry.ComparesLayer(loss, i, layers))
        for (const int layer : of_teacher) table.push_back({Layer(i + 1), Layer(layer + 1), entry.name});
  }
  add("head", "head",
      [](const LossEntry& entry, const proto::Loss&) { return entry.logits && entry.teacher; });
  add("head", "labels", [](const LossEntry& entry, const proto::Loss&) { return entry.labels; });
  return table;
}

std::string LossTable(const proto::Objective& objective, int layers, int teacher_layers) {
  std::vector<std::vector<std::string>> table = {{"student", "teacher", "losses"}};
  for (const auto& row : LossRows(objective, layers, teacher_layers))
    table.push_back({row.student, row.teacher, row.losses});
  return Table(table);
}

}  // namespace thimble::tools
