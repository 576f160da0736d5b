#include "tools/run/loss_table.h"

#include <algorithm>
#include <vector>

#include "distill/layer_map.h"
#include "distill/loss.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
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

std::vector<LossRow> LossRows(const proto::Objective& objective, int layers, int teacher_layers,
                              const models::ResolvedArchitecture* student) {
  std::vector<int> layer_map;
  if (std::any_of(objective.loss().begin(), objective.loss().end(), ComparesLayers))
    layer_map = distill::LayerMapOf(objective, layers, teacher_layers);
  std::vector<LossRow> table;
  const auto add = [&](const std::string& place, const std::string& teacher, const auto& as) {
    std::string losses;
    for (const auto& loss : objective.loss()) {
      const std::string name = as(distill::EntryOf(loss), loss);
      if (!name.empty()) losses += (losses.empty() ? "" : ", ") + name;
    }
    if (!losses.empty()) table.push_back({place, teacher, losses});
  };
  const auto named = [](bool takes_part, const LossEntry& entry) {
    return takes_part ? entry.name : std::string();
  };
  add("embedding", "embedding", [&](const LossEntry& entry, const proto::Loss& loss) {
    return named(entry.ComparesState(loss, 0, layers), entry);
  });
  for (int i = 1; i <= static_cast<int>(layer_map.size()); ++i)
    add(Layer(i), Layer(layer_map[i - 1]), [&](const LossEntry& entry, const proto::Loss& loss) {
      if (entry.ComparesMixers(loss)) return entry.name + " (mixer)";
      if (!entry.attention_logits || !entry.ComparesLayer(loss, i - 1, layers))
        return named(entry.ComparesState(loss, i, layers), entry);
      const auto* mixer = student == nullptr ? nullptr : &student->layers[static_cast<size_t>(i - 1)].mixer;
      if (mixer == nullptr || entry.HeadsOf(models::SizeOf(*student, *mixer)) > 0) return entry.name;
      return "no " + entry.name + " (" + models::TextOf(*mixer) + ")";
    });
  // Queries, keys and values are compared with layers of the loss's own choice.
  for (const auto& loss : objective.loss()) {
    const LossEntry& entry = distill::EntryOf(loss);
    if (!entry.projections) continue;
    const auto of_teacher = entry.make(loss)->ProjectionLayers(teacher_layers);
    for (int i = 0; i < layers; ++i)
      if (entry.ComparesLayer(loss, i, layers))
        for (const int layer : of_teacher) table.push_back({Layer(i + 1), Layer(layer + 1), entry.name});
    if (!entry.OwnLinears(loss).empty())
      for (const int layer : of_teacher)
        table.push_back({Layer(layers), Layer(layer + 1), entry.name + " (own projections)"});
  }
  add("head", "head", [&](const LossEntry& entry, const proto::Loss&) {
    return named(entry.logits && entry.teacher, entry);
  });
  add("head", "labels",
      [&](const LossEntry& entry, const proto::Loss&) { return named(entry.labels, entry); });
  return table;
}

std::string LossTable(const proto::Objective& objective, int layers, int teacher_layers,
                      const models::ResolvedArchitecture* student) {
  std::vector<std::vector<std::string>> table = {{"student", "teacher", "losses"}};
  for (const auto& row : LossRows(objective, layers, teacher_layers, student))
    table.push_back({row.student, row.teacher, row.losses});
  return Table(table);
}

}  // namespace thimble::tools
