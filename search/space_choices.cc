// What a space offers, section by section and layer by layer: choices filled in.
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <set>

#include "base/config.h"
#include "base/error.h"
#include "models/arch/architecture.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "search/space.h"
#include "search/space_plan.h"

namespace thimble::search {
namespace {

namespace pb = google::protobuf;

// Gives every empty (choice) list its (default_choice), all the way down.
void FillChoices(pb::Message* message) {
  const auto* reflection = message->GetReflection();
  const auto* descriptor = message->GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    const std::string& values = field->options().GetExtension(proto::default_choice);
    if (!values.empty() && reflection->FieldSize(*message, field) == 0)
      THIMBLE_CHECK(pb::TextFormat::MergeFromString(field->name() + ": " + values, message),
                    field->full_name());
    if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated() &&
        reflection->HasField(*message, field))
      FillChoices(reflection->MutableMessage(message, field));
  }
}

// Every number of heads in the place of the self-attention that names none: all of them is that itself, 0 no
// mixer. Heads of a width that is not the hidden one's share of it say so.
void ExpandHeads(const proto::Space& space, proto::LayerSpace* layer) {
  const int all = space.heads();
  const int width = space.head_width() * all == space.hidden(0) ? 0 : space.head_width();
  if (layer->heads().empty() && width == 0) return;
  const std::vector<int> counts = layer->heads().empty()
                                      ? std::vector<int>{all}
                                      : std::vector<int>(layer->heads().begin(), layer->heads().end());
  google::protobuf::RepeatedPtrField<proto::Mixer> mixers;
  for (const proto::Mixer& mixer : layer->mixer()) {
    if (!HasFreeHeads(mixer)) {
      *mixers.Add() = mixer;
      continue;
    }
    for (const int heads : counts) {
      auto* each = mixers.Add();
      if (heads == 0) {
        each->mutable_none();
        continue;
      }
      *each = mixer;
      if (heads < all || width > 0) each->mutable_self_attention()->set_heads(heads);
      if (width > 0 && mixer.self_attention().head_width() == 0)
        each->mutable_self_attention()->set_head_width(width);
    }
  }
  layer->mutable_mixer()->Swap(&mixers);
}

// Fields of one name and type in two messages.
void CopyField(const pb::Message& from, const pb::FieldDescriptor* field, pb::Message* to,
               const pb::FieldDescriptor* same) {
  THIMBLE_CHECK(field->type() == same->type(), field->full_name());
  const auto *ours = from.GetReflection(), *theirs = to->GetReflection();
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return theirs->SetInt32(to, same, ours->GetInt32(from, field));
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return theirs->SetBool(to, same, ours->GetBool(from, field));
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      return theirs->MutableMessage(to, same)->CopyFrom(ours->GetMessage(from, field));
    default:
      THIMBLE_CHECK(false, field->full_name());
  }
}

// BlockForm has fields of FeedForward, by name.
void CopyForm(const proto::BlockForm& form, proto::FeedForward* ffn) {
  std::vector<const pb::FieldDescriptor*> said;
  form.GetReflection()->ListFields(form, &said);
  for (const auto* field : said)
    CopyField(form, field, ffn, ffn->GetDescriptor()->FindFieldByName(field->name()));
}

}  // namespace

int HeadsOf(const proto::Space& space) { return space.hidden(0) % space.heads() == 0 ? space.heads() : 1; }

models::ResolvedArchitecture MixerShape(const proto::Space& space) {
  models::ResolvedArchitecture shape;
  shape.hidden = space.hidden(0);
  shape.heads = HeadsOf(space);
  shape.positions = space.positions();
  return shape;
}

bool HasFreeHeads(const proto::Mixer& mixer) {
  return mixer.has_self_attention() && mixer.self_attention().heads() == 0;
}

void Complete(const proto::Space& space, proto::LayerSpace* layer) {
  const bool by_width = !layer->ffn().width().empty();
  FillChoices(layer);
  if (by_width) layer->mutable_ffn()->clear_ratio();
  ExpandHeads(space, layer);
}

int FfnHidden(const proto::Space& space) {
  return space.ffn_hidden() > 0 ? space.ffn_hidden() : space.hidden(0);
}

proto::LayerSpace LayerChoices(const proto::Space& space, int layer) { return LayersOf(space).at(layer); }

std::vector<proto::Space> Sections(const proto::Space& space) {
  std::vector<proto::Space> sections;
  for (const int hidden : space.hidden())
    for (const int layers : space.layers())
      for (const auto& embedding : space.embedding()) {
        auto& section = sections.emplace_back(space);
        section.clear_hidden();
        section.clear_layers();
        section.clear_embedding();
        section.add_hidden(hidden);
        section.add_layers(layers);
        *section.add_embedding() = embedding;
      }
  return sections;
}

bool SameEmbedding(const proto::Embedding& a, const proto::Embedding& b) {
  return google::protobuf::util::MessageDifferencer::Equivalent(a, b);
}

bool IsOf(const proto::Space& section, const proto::Architecture& architecture) {
  return section.hidden(0) == architecture.hidden() && section.layers(0) == architecture.layer_size() &&
         SameEmbedding(section.embedding(0), architecture.embedding());
}

proto::Space SectionOf(const proto::Space& space, const proto::Architecture& architecture) {
  const auto sections = Sections(space);
  const auto found = std::find_if(sections.begin(), sections.end(),
                                  [&](const auto& section) { return IsOf(section, architecture); });
  THIMBLE_CHECK(found != sections.end(), "an architecture of " + std::to_string(architecture.hidden()) +
                                             " x " + std::to_string(architecture.layer_size()) +
                                             " is of another space");
  return *found;
}

std::vector<proto::LayerSpace> LayersOf(const proto::Space& space) {
  std::vector<proto::LayerSpace> layers(*std::max_element(space.layers().begin(), space.layers().end()));
  for (const bool named : {false, true})  // named blocks replace the common one
    for (proto::LayerSpace block : space.layer()) {
      if ((block.at_size() > 0) != named) continue;
      Complete(space, &block);
      const auto at = block.at();
      block.clear_at();
      if (!named) std::fill(layers.begin(), layers.end(), block);
      for (const int layer : at)
        if (layer < static_cast<int>(layers.size())) layers[layer] = block;  // a section may be shallower
    }
  return layers;
}

std::vector<proto::FeedForward> InnerChoices(const proto::FeedForwardSpace& ffn) {
  std::vector<proto::FeedForward> choices;
  const auto add = [&](const auto& set_size) {
    for (const proto::BlockForm& form : ffn.form()) {
      auto& choice = choices.emplace_back();
      set_size(&choice);
      CopyForm(form, &choice);
    }
  };
  for (const std::string& ratio : ffn.ratio())
    add([&](proto::FeedForward* choice) { choice->set_ratio(ratio); });
  for (const int width : ffn.width())
    if (width > 0)
      add([&](proto::FeedForward* choice) { choice->set_width(width); });
    else
      choices.emplace_back().mutable_none();
  return choices;
}

bool InASpace(const proto::FeedForward& ffn) {
  return ffn.has_expression() || ffn.has_none() || FormOf(ffn).kind_case() != proto::BlockForm::KIND_NOT_SET;
}

proto::FeedForward InnerOf(const proto::FeedForward& ffn) {
  proto::FeedForward inner;
  if (ffn.has_none()) {
    inner.mutable_none();
    return inner;
  }
  if (ffn.width() > 0)
    inner.set_width(ffn.width());
  else
    inner.set_ratio(ffn.ratio());
  CopyForm(FormOf(ffn), &inner);
  return inner;
}

bool SameSize(const proto::FeedForward& a, const proto::FeedForward& b) {
  return a.has_none() == b.has_none() && a.width() == b.width() && a.ratio() == b.ratio();
}

proto::BlockForm FormOf(const proto::FeedForward& ffn) {
  proto::BlockForm form;
  const auto *from = ffn.GetReflection(), *to = form.GetReflection();
  for (int i = 0; i < form.GetDescriptor()->field_count(); ++i) {
    const auto* field = form.GetDescriptor()->field(i);
    const auto* same = ffn.GetDescriptor()->FindFieldByName(field->name());
    if (from->HasField(ffn, same)) CopyField(ffn, same, &form, field);
  }
  return form;
}

std::string FormText(const proto::BlockForm& form) {
  const std::string text = CanonicalText(form);
  return text.empty() ? "expression" : text;
}

proto::FeedForward MakeFeedForward(const proto::FeedForward& inner, int stacks,
                                   const std::string& expression) {
  proto::FeedForward ffn = inner;
  ffn.set_stacks(inner.has_none() ? 1 : stacks);
  if (inner.kind_case() == proto::FeedForward::KIND_NOT_SET) ffn.set_expression(expression);
  return ffn;
}

}  // namespace thimble::search
