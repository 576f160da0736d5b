#include "search/cut_space.h"

#include <algorithm>

#include "models/encoder/resolve.h"

namespace thimble::search {
namespace {

constexpr int kNeuronStep = 32;

std::vector<int> FallingWithoutRepeats(std::vector<int> values) {
  std::sort(values.rbegin(), values.rend());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

proto::LayerSpace Choices(const models::ResolvedArchitecture& teacher, const models::LayerShape& layer) {
  proto::LayerSpace choices;
  choices.add_mixer()->mutable_self_attention();
  for (int heads = models::SizeOf(teacher, layer.mixer).heads; heads >= 0; --heads) choices.add_heads(heads);
  choices.mutable_ffn()->mutable_expression()->set_seed(layer.expression.ToString());
  choices.mutable_ffn()->add_stacks(1);
  choices.mutable_ffn()->add_width(layer.width);
  for (int width = (layer.width - 1) / kNeuronStep * kNeuronStep; width >= 0; width -= kNeuronStep)
    choices.mutable_ffn()->add_width(width);
  return choices;
}

}  // namespace

proto::Space CutSpace(const models::ResolvedArchitecture& teacher,
                      const std::vector<proto::Embedding>& embeddings) {
  const auto depth = static_cast<int>(teacher.layers.size());
  std::vector<proto::LayerSpace> layers;
  int heads = 1, head_width = teacher.hidden;
  for (const auto& layer : teacher.layers) {
    layers.push_back(Choices(teacher, layer));
    const auto size = models::SizeOf(teacher, layer.mixer);
    if (size.heads < heads) continue;
    heads = size.heads;
    head_width = size.context / size.heads;
  }
  const bool alike = std::all_of(layers.begin(), layers.end(), [&](const proto::LayerSpace& each) {
    return each.SerializeAsString() == layers[0].SerializeAsString();
  });
  const auto depths = alike ? std::vector<int>{depth, std::max(1, depth * 2 / 3), std::max(1, depth / 2)}
                            : std::vector<int>{depth};

  proto::Space space;
  for (const int width : FallingWithoutRepeats({teacher.hidden, teacher.hidden * 3 / 4}))
    space.add_hidden(width);
  for (const int layer_count : FallingWithoutRepeats(depths)) space.add_layers(layer_count);
  for (const auto& embedding : embeddings) *space.add_embedding() = embedding;
  if (embeddings.empty()) *space.add_embedding() = teacher.embedding;
  space.set_heads(heads);
  space.set_head_width(head_width);
  space.set_pooler(teacher.pooler);
  space.set_vocabulary(teacher.vocabulary);
  space.set_positions(teacher.positions);
  space.set_segments(teacher.segments);
  if (!teacher.position_table) space.set_position_table(false);
  space.set_layer_norm_epsilon(teacher.layer_norm_epsilon);
  for (int i = 0; i < (alike ? 1 : depth); ++i) {
    auto* layer = space.add_layer();
    *layer = layers[i];
    if (!alike) layer->add_at(i);
  }
  return space;
}

}  // namespace thimble::search
