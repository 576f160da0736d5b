#include "models/encoder/kinds.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <stdexcept>

#include "base/config.h"
#include "base/error.h"
#include "proto/architecture.pb.h"

namespace thimble::models {

#define MIXER(name) MixerEntry name();
namespace mixers {
#include "models/mixers/mixers.inc"
}
#undef MIXER
#define FEED_FORWARD(name) FeedForwardEntry name();
namespace feed_forwards {
#include "models/feed_forwards/feed_forwards.inc"
}
#undef FEED_FORWARD
#define EMBEDDING(name) EmbeddingEntry name();
namespace embeddings {
#include "models/embeddings/embeddings.inc"
}
#undef EMBEDDING
#define ATTENTION_BIAS(name) AttentionBiasEntry name();
namespace attention_biases {
#include "models/attention_biases/attention_biases.inc"
}
#undef ATTENTION_BIAS

namespace {

template <typename Entry>
Entry Named(Entry entry, const char* name) {
  entry.name = name;
  return entry;
}

const google::protobuf::FieldDescriptor& KindOf(const google::protobuf::Message& message) {
  const auto* kind = KindField(message);
  if (kind == nullptr) throw std::logic_error("no kind of " + message.GetDescriptor()->name());
  return *kind;
}

// The numbers of a oneof's members are few and small: entries by number.
template <typename Entry>
const Entry& Find(const std::vector<Entry>& entries, const google::protobuf::Message& message, int number) {
  static const std::vector<const Entry*> by_number = [&] {
    std::vector<const Entry*> found;
    const auto* kinds = message.GetDescriptor()->FindOneofByName("kind");
    for (int i = 0; i < kinds->field_count(); ++i) {
      const auto& field = *kinds->field(i);
      if (found.size() <= static_cast<size_t>(field.number())) found.resize(field.number() + 1);
      for (const Entry& entry : entries)
        if (entry.name == field.name()) found[field.number()] = &entry;
      if (found[field.number()] == nullptr)
        throw std::logic_error("the list of kinds of " + message.GetDescriptor()->name() + " lacks " +
                               field.name());
    }
    return found;
  }();
  if (number <= 0 || static_cast<size_t>(number) >= by_number.size())
    throw std::logic_error("no kind of " + message.GetDescriptor()->name());
  return *by_number[number];
}

std::string TextOfKind(const google::protobuf::Message& message) {
  const auto& kind = KindOf(message);
  const std::string fields = CanonicalText(KindMessage(message));
  return kind.name() + (fields.empty() ? "" : " { " + fields + " }");
}

}  // namespace

const std::vector<MixerEntry>& Mixers() {
  static const std::vector<MixerEntry> entries = {
#define MIXER(name) Named(mixers::name(), #name),
#include "models/mixers/mixers.inc"
#undef MIXER
  };
  return entries;
}

const std::vector<FeedForwardEntry>& FeedForwards() {
  static const std::vector<FeedForwardEntry> entries = {
#define FEED_FORWARD(name) Named(feed_forwards::name(), #name),
#include "models/feed_forwards/feed_forwards.inc"
#undef FEED_FORWARD
  };
  return entries;
}

const std::vector<EmbeddingEntry>& Embeddings() {
  static const std::vector<EmbeddingEntry> entries = {
#define EMBEDDING(name) Named(embeddings::name(), #name),
#include "models/embeddings/embeddings.inc"
#undef EMBEDDING
  };
  return entries;
}

const std::vector<AttentionBiasEntry>& AttentionBiases() {
  static const std::vector<AttentionBiasEntry> entries = {
#define ATTENTION_BIAS(name) Named(attention_biases::name(), #name),
#include "models/attention_biases/attention_biases.inc"
#undef ATTENTION_BIAS
  };
  return entries;
}

const AttentionBiasEntry* BiasOf(const proto::Mixer& mixer) {
  const google::protobuf::Message& kind = KindMessage(mixer);
  const auto* biases = kind.GetDescriptor()->FindOneofByName("bias");
  if (biases == nullptr) return nullptr;
  const auto* field = kind.GetReflection()->GetOneofFieldDescriptor(kind, biases);
  if (field == nullptr) return nullptr;
  for (const AttentionBiasEntry& entry : AttentionBiases())
    if (entry.name == field->name()) return &entry;
  throw std::logic_error("the list of biases lacks " + field->name());
}

const MixerEntry& EntryOf(const proto::Mixer& mixer) { return Find(Mixers(), mixer, mixer.kind_case()); }
const FeedForwardEntry& EntryOf(const proto::FeedForward& ffn) {
  return Find(FeedForwards(), ffn, ffn.kind_case());
}
const EmbeddingEntry& EntryOf(const proto::Embedding& embedding) {
  return Find(Embeddings(), embedding, embedding.kind_case());
}

const google::protobuf::Message& KindMessage(const google::protobuf::Message& kinds) {
  return kinds.GetReflection()->GetMessage(kinds, &KindOf(kinds));
}

Value BlockLinear(const LayerShape& layer, std::string_view name, const Value& x, int in, int out, Ops& ops,
                  LinearForm form) {
  const int groups = layer.ffn.groups();
  if (groups == 1) return ops.Linear(name, x, out, form);
  form.groups = groups;
  form.as_many_groups = true;
  if (!layer.ffn.monarch()) return ops.Linear(name, x, out, form);
  const std::string inner = std::string(name) + ".inner";
  const Value mixed =
      ops.Linear(inner, x, std::min(in, out), {.groups = groups, .as_many_groups = true, .bias = false});
  return ops.Linear(name, ops.Interleave(inner, mixed, groups), out, form);
}

void CheckGroups(const proto::FeedForward& ffn, int outer, int width, const std::string& where) {
  const int groups = ffn.groups();
  if (ffn.monarch() && groups == 1)
    throw BadRequest(where + ".monarch", "a Monarch matrix has blocks", "groups: 1", "groups from 2");
  if (groups > 1 && ffn.has_merged())
    throw BadRequest(where + ".groups", "weights that are merged are whole", std::to_string(groups),
                     "routed experts, or groups: 1");
  if (groups > 1 && width == 0)
    throw BadRequest(where + ".groups", "there is no block to be grouped", std::to_string(groups),
                     "groups: 1");
  for (const int side : {outer, width}) {
    if (side % groups != 0)
      throw BadRequest(where + ".groups", "groups do not divide the block's width " + std::to_string(side),
                       std::to_string(groups),
                       "a number that divides " + std::to_string(outer) + " and " + std::to_string(width));
  }
  for (const int side : {outer, width}) {
    if (!ffn.monarch() || side % (groups * groups) == 0) continue;
    throw BadRequest(
        where + ".groups", "the square of a Monarch matrix's blocks divides the block's widths",
        std::to_string(groups),
        "a number whose square divides " + std::to_string(outer) + " and " + std::to_string(width));
  }
}

void RefuseSharedQueryKey(const proto::Mixer&, const ResolvedArchitecture& shape, const std::string& where) {
  if (shape.share_query_key)
    throw BadRequest(where, "nobody would read the linear that queries and keys share",
                     "share_query_key: true", "another mixer, or a bottleneck that shares nothing");
}

void RequireMiddle(int kernel, const std::string& where) {
  if (kernel % 2 == 0) throw BadRequest(where, "has no middle", std::to_string(kernel), "an odd number");
}

bool IsBerts(const proto::Mixer& mixer) {
  return EntryOf(mixer).bert && TextOf(mixer) == EntryOf(mixer).name;
}

proto::Mixer WithoutHeads(const proto::Mixer& mixer) {
  proto::Mixer rest = mixer;
  auto* kind = rest.GetReflection()->MutableMessage(&rest, &KindOf(rest));
  for (const char* name : {"heads", "head_width"})
    if (const auto* field = kind->GetDescriptor()->FindFieldByName(name))
      kind->GetReflection()->ClearField(kind, field);
  return rest;
}

std::string TextOf(const proto::Mixer& mixer) { return TextOfKind(mixer); }

std::string TextOf(const LayerShape& layer) {
  const auto text = EntryOf(layer.ffn).text;
  std::string all = text != nullptr ? text(layer) : TextOfKind(layer.ffn);
  // What holds of blocks of any kind.
  proto::FeedForward shared;
  shared.set_groups(layer.ffn.groups());
  shared.set_monarch(layer.ffn.monarch());
  if (layer.ffn.has_routed()) *shared.mutable_routed() = layer.ffn.routed();
  if (layer.ffn.has_merged()) *shared.mutable_merged() = layer.ffn.merged();
  const std::string fields = CanonicalText(shared);
  return fields.empty() ? all : all + " " + fields;
}

}  // namespace thimble::models
