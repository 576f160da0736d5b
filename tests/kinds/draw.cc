#include "tests/kinds/draw.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <stdexcept>

#include "models/arch/expression_sampling.h"
#include "proto/options.pb.h"

namespace thimble::models {
namespace {

using Field = google::protobuf::FieldDescriptor;

constexpr int kLargest = 8;

int Between(int low, int high, Random* random) {
  return low + static_cast<int>(random->Below(static_cast<uint64_t>(high - low + 1)));
}

void DrawFields(google::protobuf::Message* message, Random* random);

void DrawField(const Field* field, google::protobuf::Message* message, Random* random) {
  const auto* reflection = message->GetReflection();
  const auto& range = field->options().GetExtension(proto::range);
  switch (field->cpp_type()) {
    case Field::CPPTYPE_INT32: {
      const int low = std::max(1, range.has_min() ? static_cast<int>(range.min()) : 1);
      const int high =
          std::max(low, range.has_max() ? std::min(kLargest, static_cast<int>(range.max())) : kLargest);
      return reflection->SetInt32(message, field, Between(low, high, random));
    }
    case Field::CPPTYPE_BOOL:
      return reflection->SetBool(message, field, random->Below(2) == 0);
    case Field::CPPTYPE_ENUM:
      return reflection->SetEnum(
          message, field,
          field->enum_type()->value(Between(0, field->enum_type()->value_count() - 1, random)));
    case Field::CPPTYPE_DOUBLE: {
      const double low = range.has_min() ? range.min() : range.has_above() ? range.above() : 0;
      const double high = range.has_max() ? range.max() : range.has_below() ? range.below() : low + 1;
      return reflection->SetDouble(message, field, low + (0.1 + 0.8 * random->Uniform()) * (high - low));
    }
    case Field::CPPTYPE_MESSAGE:
      return DrawFields(reflection->MutableMessage(message, field), random);
    default:
      throw std::logic_error("nothing to draw for " + field->full_name());
  }
}

void DrawFields(google::protobuf::Message* message, Random* random) {
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i)
    if (random->Below(2) == 0) DrawField(message->GetDescriptor()->field(i), message, random);
}

template <typename Kinds>
void DrawKind(const std::string& kind, Kinds* kinds, Random* random) {
  const Field* field = Kinds::descriptor()->FindFieldByName(kind);
  DrawFields(kinds->GetReflection()->MutableMessage(kinds, field), random);
}

}  // namespace

proto::Mixer DrawMixer(const std::string& kind, Random* random) {
  proto::Mixer mixer;
  DrawKind(kind, &mixer, random);
  return mixer;
}

proto::Mixer DrawBias(const std::string& kind, Random* random) {
  proto::Mixer mixer;
  auto* attention = mixer.mutable_self_attention();
  DrawFields(attention, random);
  const Field* field = proto::SelfAttention::descriptor()->FindFieldByName(kind);
  DrawFields(attention->GetReflection()->MutableMessage(attention, field), random);
  return mixer;
}

proto::Embedding DrawEmbedding(const std::string& kind, Random* random) {
  proto::Embedding embedding;
  DrawKind(kind, &embedding, random);
  return embedding;
}

const std::vector<std::string>& Structures() {
  static const std::vector<std::string> all = {"groups", "monarch", "routed", "merged"};
  return all;
}

void DrawStructure(const std::string& what, proto::FeedForward* ffn, Random* random) {
  if (what == "groups" || what == "monarch") ffn->set_groups(Between(2, 4, random));
  if (what == "monarch") ffn->set_monarch(true);
  if (what != "routed" && what != "merged") return;
  const Field* field = proto::FeedForward::descriptor()->FindFieldByName(what);
  auto* message = ffn->GetReflection()->MutableMessage(ffn, field);
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i)
    if (random->Below(2) == 0) DrawField(message->GetDescriptor()->field(i), message, random);
  const int count = Between(2, 4, random);  // gradients of more take long
  if (what == "routed") ffn->mutable_routed()->set_count(count);
  if (what == "merged") ffn->mutable_merged()->set_count(count);
}

proto::FeedForward DrawFeedForward(const std::string& kind, int outer, int ffn_hidden, Random* random) {
  const std::vector<std::string> ratios = {"1", "1/2", "1/3", "1/4"};
  proto::FeedForward ffn;
  ffn.set_ratio(ratios[random->Below(ratios.size())]);
  ffn.set_stacks(Between(1, 3, random));
  const Field* field = proto::FeedForward::descriptor()->FindFieldByName(kind);
  if (field->message_type() != nullptr) {
    DrawKind(kind, &ffn, random);
  } else {
    const ExpressionSampler sampler(PublishedRules({{outer, RatioWidth(ffn.ratio(), ffn_hidden)}}));
    ffn.GetReflection()->SetString(&ffn, field, sampler.Draw(random).ToString());
  }
  // Half of them dense.
  if (random->Below(2) == 0) DrawStructure(OneOfKinds(Structures(), random), &ffn, random);
  return ffn;
}

}  // namespace thimble::models
