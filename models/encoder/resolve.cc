#include "models/encoder/resolve.h"

#include <map>

#include "base/error.h"
#include "models/encoder/encoder.h"
#include "models/encoder/experts.h"
#include "models/encoder/kinds.h"
#include "models/encoder/trace.h"

namespace thimble::models {
namespace {

void ResolveBottleneck(const proto::Bottleneck& bottleneck, const std::string& where,
                       ResolvedArchitecture* shape) {
  shape->bottleneck = bottleneck.width();
  shape->share_query_key = bottleneck.share_query_key();
  if (shape->bottleneck <= 0)
    throw BadRequest(where + ".width", "too narrow", std::to_string(shape->bottleneck), "1 or more");
}

void ResolveEmbedding(ResolvedArchitecture* shape) {
  Trace trace(Trace::Names::kKept);
  TokenEmbedding(*shape, trace);
  for (const WeightShape& weight : trace.weights()) {
    if (weight.name == "embedding.token") shape->embedding_width = static_cast<int>(weight.sizes[1]);
    if (weight.name == "embedding.project.weight") shape->projected = static_cast<int>(weight.sizes[1]);
  }
}

void CheckMixer(const proto::Mixer& mixer, const ResolvedArchitecture& shape, const std::string& where) {
  const MixerEntry& entry = EntryOf(mixer);
  if (entry.check != nullptr) entry.check(mixer, shape, where + "." + entry.name);
}

// Whether the mixer has weights that are not known yet. Those that it shares are as large.
bool AddWeights(const ResolvedArchitecture& shape, const proto::Mixer& mixer, const std::string& where,
                std::map<std::string, WeightShape>* known) {
  bool any = false;
  for (const WeightShape& weight : MixerWeights(shape, 0, mixer)) {
    const auto [at, added] = known->emplace(weight.name, weight);
    any |= added;
    if (at->second.sizes != weight.sizes || at->second.form.kernel != weight.form.kernel)
      throw BadRequest(where, "mixers beside one another share a weight of two sizes",
                       TextOf(mixer) + ": " + weight.name, "as many heads and as wide kernels in both");
  }
  return any;
}

LayerShape ResolveLayer(const proto::Layer& layer, const ResolvedArchitecture& shape,
                        const std::string& where) {
  LayerShape resolved{layer.mixer(), {layer.beside().begin(), layer.beside().end()}, layer.ffn()};
  CheckMixer(layer.mixer(), shape, where + ".mixer");
  std::map<std::string, WeightShape> known;
  if (layer.beside_size() > 0) AddWeights(shape, layer.mixer(), where, &known);
  for (const proto::Mixer& mixer : layer.beside()) {
    CheckMixer(mixer, shape, where + ".beside");
    if (!AddWeights(shape, mixer, where + ".beside", &known))
      throw BadRequest(where + ".beside", "a kind of mixer stands twice", TextOf(mixer),
                       "each once, the largest");
  }
  const std::string ffn = where + ".ffn";
  resolved.stacks = layer.ffn().stacks();
  if (resolved.stacks < 1)
    throw BadRequest(ffn + ".stacks", "too few", std::to_string(resolved.stacks), "1 or more");
  resolved.width = InnerWidth(layer.ffn(), shape.ffn_hidden, ffn);
  CheckGroups(layer.ffn(), shape.block_width(), resolved.width, ffn);
  CheckExperts(layer.ffn(), shape.block_width(), resolved.width, ffn);
  const FeedForwardEntry& entry = EntryOf(layer.ffn());
  if (entry.resolve == nullptr) return resolved;
  if (layer.ffn().routed().shared() > 0) {
    LayerShape shared = resolved;
    shared.width = layer.ffn().routed().shared();
    entry.resolve(shape, ffn, &shared);
  }
  entry.resolve(shape, ffn, &resolved);
  return resolved;
}

}  // namespace

ResolvedArchitecture Resolve(const proto::Architecture& architecture, const std::string& where) {
  ResolvedArchitecture shape;
  shape.vocabulary = architecture.vocabulary();
  shape.positions = architecture.positions();
  shape.segments = architecture.segments();
  shape.position_table = architecture.position_table();
  shape.hidden = architecture.hidden();
  shape.heads = architecture.heads();
  shape.ffn_hidden = architecture.ffn_hidden() > 0 ? architecture.ffn_hidden() : shape.hidden;
  shape.pooler = architecture.pooler() > 0 ? architecture.pooler() : shape.hidden;
  shape.layer_norm_epsilon = architecture.layer_norm_epsilon();
  shape.embedding = architecture.embedding();
  shape.no_norm = architecture.norm() == proto::NO_NORM;
  if (architecture.has_bottleneck())
    ResolveBottleneck(architecture.bottleneck(), where + ".bottleneck", &shape);
  const std::string width = shape.bottleneck > 0 ? "bottleneck" : "hidden";
  if (shape.heads <= 0 || shape.hidden <= 0 || shape.block_width() % shape.heads != 0)
    throw BadRequest(
        where + ".heads", "the heads must divide the " + width + " width",
        std::to_string(shape.heads) + " heads, " + width + " " + std::to_string(shape.block_width()));
  if (architecture.layer_size() == 0)
    throw BadRequest(where + ".layer", "there is no layer", "", "at least one");
  ResolveEmbedding(&shape);
  shape.layers.reserve(architecture.layer_size());
  for (int i = 0; i < architecture.layer_size(); ++i)
    shape.layers.push_back(
        ResolveLayer(architecture.layer(i), shape, where + ".layer[" + std::to_string(i) + "]"));
  return shape;
}

Value TraceMixer(const ResolvedArchitecture& shape, int index, const proto::Mixer& mixer, Trace* trace) {
  const Value x = trace->State(shape.block_width()), value = trace->State(shape.value_input());
  const LayerInput in{.key = x, .value = value, .query = x};
  const Value context = Mix(shape, index, mixer, in, trace->PaddingBias(kPaddingBias), Tokens::kAll, *trace);
  CloseMixer(shape, index, mixer, context, x, *trace);
  return context;
}

std::vector<WeightShape> MixerWeights(const ResolvedArchitecture& shape, int index,
                                      const proto::Mixer& mixer) {
  Trace trace(Trace::Names::kKept);
  TraceMixer(shape, index, mixer, &trace);
  return trace.weights();
}

MixerSize SizeOf(const ResolvedArchitecture& shape, const proto::Mixer& mixer) {
  Trace trace(Trace::Names::kLeftOut);
  const Value context = TraceMixer(shape, 0, mixer, &trace);
  return {context ? static_cast<int>(Trace::Width(context)) : 0, trace.taps().heads,
          trace.taps().kernel_heads, trace.taps().projections};
}

}  // namespace thimble::models
