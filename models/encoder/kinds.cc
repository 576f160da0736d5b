#include "models/encoder/kinds.h"

#include <google/protobuf/descriptor.h>

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

void RefuseSharedQueryKey(const proto::Mixer&, const ResolvedArchitecture& shape, const std::string& where) {
  if (shape.share_query_key)
    throw BadRequest(where, "nobody would read the linear that queries and keys share",
                     "share_query_key: true", "another mixer, or a bottleneck that shares nothing");
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
  return text != nullptr ? text(layer) : TextOfKind(layer.ffn);
}

}  // namespace thimble::models
