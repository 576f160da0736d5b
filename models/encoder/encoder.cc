#include "models/encoder/encoder.h"

#include "models/encoder/experts.h"
#include "models/encoder/kinds.h"

namespace thimble::models {
namespace {

std::string LayerScope(int index) { return "layer." + std::to_string(index); }

std::string BlockScope(int index, int stack) { return LayerScope(index) + ".ffn." + std::to_string(stack); }

// The norm of x + value.
Value Close(Value x, Value value, Ops& ops) {
  const Value sum = ops.Residual("norm", ops.Drop(value), x);
  x = value = {};
  return ops.Norm("norm", sum);
}

Value Narrow(std::string_view part, const Value& x, int width, Ops& ops) {
  const Value linear = ops.Linear(part, x, width);
  const Ops::Scope scope(ops, part);
  return ops.Norm("norm", linear);
}

// Those tokens of x that are read.
Value Only(Tokens read, const Value& x, Ops& ops) {
  return read == Tokens::kAll ? x : ops.OnlyFirst("first", x);
}

}  // namespace

Value TokenEmbedding(const ResolvedArchitecture& shape, Ops& ops) {
  const Ops::Scope scope(ops, "embedding");
  return EntryOf(shape.embedding).embed(shape, ops);
}

Value EmbeddingSum(const ResolvedArchitecture& shape, Ops& ops) {
  Value x = TokenEmbedding(shape, ops);
  const Ops::Scope scope(ops, "embedding");
  const int width = EntryOf(shape.embedding).narrow ? shape.embedding_width : shape.hidden;
  const Value segment = ops.Table("segment", shape.segments, width, Ids::kSegments);
  if (shape.position_table)
    x = ops.Combine("position", Combination::kAdd, x, ops.Positions("position", shape.positions, width));
  else
    ops.MostTokens(shape.positions);
  return ops.Residual("segment", x, segment);
}

Value Embed(const ResolvedArchitecture& shape, Ops& ops) {
  const Value sum = EmbeddingSum(shape, ops);
  const Ops::Scope scope(ops, "embedding");
  const Value x = ops.Drop(ops.Norm("norm", sum));
  return EntryOf(shape.embedding).narrow ? ops.Linear("project", x, shape.hidden) : x;
}

LayerInput EnterLayer(const ResolvedArchitecture& shape, int index, const Value& x, Tokens read, Ops& ops) {
  const Ops::Scope layer(ops, LayerScope(index));
  const Value own = Only(read, x, ops);
  if (shape.bottleneck == 0) return {.key = x, .value = x, .query = own, .residual = own};
  const Ops::Scope bottleneck(ops, "bottleneck");
  const auto narrow = [&](std::string_view part, const Value& from) {
    return Narrow(part, from, shape.bottleneck, ops);
  };
  if (!shape.share_query_key) {
    const Value in = narrow("in", x), first = Only(read, in, ops);
    return {.key = in, .value = in, .query = first, .residual = first, .entered = own};
  }
  const Value residual = narrow("in", own), key = narrow("qk", x);
  return {.key = key, .value = x, .query = Only(read, key, ops), .residual = residual, .entered = own};
}

std::string MixerScope(int index, const proto::Mixer& mixer) {
  const MixerEntry& entry = EntryOf(mixer);
  return LayerScope(index) + "." + (entry.scope != nullptr ? entry.scope : entry.name);
}

Value Mix(const ResolvedArchitecture& shape, int index, const proto::Mixer& mixer, LayerInput in,
          const Value& bias, Tokens read, Ops& ops) {
  const Ops::Scope scope(ops, MixerScope(index, mixer));
  const MixerEntry& entry = EntryOf(mixer);
  in.residual = in.entered = {};
  if (!entry.one_query) in.query = in.key;
  Value context = entry.mix(mixer,
                            {.key = std::move(in.key),
                             .query = std::move(in.query),
                             .value = std::move(in.value),
                             .bias = bias,
                             .queries = entry.one_query ? read : Tokens::kAll,
                             .width = shape.block_width(),
                             .heads = shape.heads,
                             .positions = shape.positions},
                            ops);
  return context && !entry.one_query ? Only(read, context, ops) : context;
}

Value CloseMixer(const ResolvedArchitecture& shape, int index, const proto::Mixer& mixer, Value context,
                 Value residual, Ops& ops) {
  const Ops::Scope scope(ops, MixerScope(index, mixer));
  if (!context) return ops.Norm("norm", residual);
  Value mixed = ops.Linear(kOutput, context, shape.block_width());
  context = {};
  return Close(std::move(residual), std::move(mixed), ops);
}

Value FeedForward(const ResolvedArchitecture& shape, int index, int stack, const LayerShape& layer,
                  const Value& x, Ops& ops) {
  const Ops::Scope block(ops, BlockScope(index, stack));
  return RunBlocks(layer, shape.block_width(), x, ops);
}

Value CloseBlock(int index, int stack, Value value, Value x, Ops& ops) {
  const Ops::Scope block(ops, BlockScope(index, stack));
  if (!value) return ops.Norm("norm", x);
  return Close(std::move(x), std::move(value), ops);
}

Value LeaveLayer(const ResolvedArchitecture& shape, int index, Value entered, Value x, Ops& ops) {
  if (shape.bottleneck == 0) return x;
  const Ops::Scope layer(ops, LayerScope(index)), bottleneck(ops, "bottleneck");
  Value out = ops.Linear("out", x, shape.hidden);
  x = {};
  const Ops::Scope scope(ops, "out");
  return Close(std::move(entered), std::move(out), ops);
}

Value RunLayer(const ResolvedArchitecture& shape, int index, const LayerShape& layer, Value x,
               const Value& bias, Tokens read, Ops& ops) {
  const Tokens last = read;
  if (ReadsOtherTokens(layer.ffn)) read = Tokens::kAll;
  LayerInput in = EnterLayer(shape, index, x, read, ops);
  x = {};
  Value residual = in.residual, entered = in.entered;
  Value context = Mix(shape, index, layer.mixer, std::move(in), bias, read, ops);
  x = CloseMixer(shape, index, layer.mixer, std::move(context), std::move(residual), ops);
  ops.Tap(Tapped::kMixed, x);
  for (int stack = 0; stack < layer.stacks; ++stack) {
    Value value = FeedForward(shape, index, stack, layer, x, ops);
    x = CloseBlock(index, stack, std::move(value), std::move(x), ops);
  }
  x = LeaveLayer(shape, index, std::move(entered), std::move(x), ops);
  if (last == read) return x;
  const Ops::Scope scope(ops, LayerScope(index));
  return Only(last, x, ops);
}

Value Pool(const ResolvedArchitecture& shape, const Value& x, Ops& ops) {
  return ops.Apply("pooler", Function::kTanh,
                   ops.Linear("pooler", ops.FirstToken("pooler", x), shape.pooler));
}

Value RunHead(const ResolvedArchitecture& shape, int classes, TaskHead head, const Value& x, Ops& ops) {
  // No dropout before a head on tokens, as BertForQuestionAnswering.
  if (head == TaskHead::kTokens) return ops.Linear("head", x, classes);
  return ops.Linear("head", ops.Drop(Pool(shape, x, ops)), classes);
}

Value Encode(const ResolvedArchitecture& shape, Tokens read, Ops& ops) {
  Value x = Embed(shape, ops);
  const Value bias = ops.PaddingBias(kPaddingBias);
  const int layers = static_cast<int>(shape.layers.size());
  for (int i = 0; i < layers; ++i)
    x = RunLayer(shape, i, shape.layers[i], std::move(x), bias, i + 1 < layers ? Tokens::kAll : read, ops);
  return x;
}

}  // namespace thimble::models
