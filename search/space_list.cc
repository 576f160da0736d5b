// A space that is a list of architectures.
#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "models/arch/architecture.h"
#include "search/space.h"
#include "search/space_plan.h"

namespace thimble::search {
namespace {

template <typename List, typename Value>
void AddNew(const Value& value, List* list) {
  if (std::find(list->begin(), list->end(), value) == list->end()) list->Add(Value(value));
}

template <typename Message>
void AddNewMessage(const Message& value, google::protobuf::RepeatedPtrField<Message>* list) {
  const auto same = [bytes = value.SerializeAsString()](const Message& each) {
    return each.SerializeAsString() == bytes;
  };
  if (std::none_of(list->begin(), list->end(), same)) *list->Add() = value;
}

// What all listed ones have in common. Widths that are the hidden one may be said or left out.
proto::Architecture Frame(const proto::Architecture& architecture) {
  proto::Architecture frame = architecture;
  if (frame.ffn_hidden() == frame.hidden()) frame.clear_ffn_hidden();
  if (frame.pooler() == frame.hidden()) frame.clear_pooler();
  frame.clear_hidden();
  frame.clear_layer();
  frame.clear_embedding();
  return frame;
}

void AddLayer(const proto::Layer& layer, const std::string& where, proto::LayerSpace* choices) {
  AddNewMessage(layer.mixer(), choices->mutable_mixer());
  auto* ffn = choices->mutable_ffn();
  const auto& block = layer.ffn();
  if (!InASpace(block))
    throw BadRequest(where, "a space has no such feed-forward blocks", block.ShortDebugString(),
                     "an expression, or what message BlockForm offers");
  if (!block.has_none()) AddNewMessage(FormOf(block), ffn->mutable_form());
  if (block.has_none() || block.width() > 0)
    AddNew(block.has_none() ? 0 : block.width(), ffn->mutable_width());
  else
    AddNew(block.ratio(), ffn->mutable_ratio());
  AddNew(block.has_none() ? 1 : block.stacks(), ffn->mutable_stacks());
}

// The smallest space of which all are.
proto::Space SpaceAround(const std::vector<proto::Architecture>& listed, const std::string& where) {
  const proto::Architecture first = Frame(listed[0]);
  proto::Space space;
  space.set_heads(first.heads());
  space.set_ffn_hidden(first.ffn_hidden());
  space.set_pooler(first.pooler());
  space.set_vocabulary(first.vocabulary());
  space.set_positions(first.positions());
  space.set_segments(first.segments());
  if (!first.position_table()) space.set_position_table(false);
  space.set_layer_norm_epsilon(first.layer_norm_epsilon());
  int depth = 0;
  for (const auto& each : listed) depth = std::max(depth, each.layer_size());
  std::vector<proto::LayerSpace> layers(depth);
  for (size_t i = 0; i < listed.size(); ++i) {
    const std::string at = where + "[" + std::to_string(i) + "]";
    const auto& each = listed[i];
    if (Frame(each).SerializeAsString() != first.SerializeAsString())
      throw BadRequest(at, "differs from the first in what no stage varies", Frame(each).ShortDebugString(),
                       first.ShortDebugString());
    AddNew(each.hidden(), space.mutable_hidden());
    AddNew(each.layer_size(), space.mutable_layers());
    AddNewMessage(each.embedding(), space.mutable_embedding());
    for (int layer = 0; layer < each.layer_size(); ++layer) AddLayer(each.layer(layer), at, &layers[layer]);
  }
  for (int i = 0; i < depth; ++i) {
    layers[i].add_at(i);
    layers[i].mutable_ffn()->mutable_expression();
    *space.add_layer() = std::move(layers[i]);
  }
  return space;
}

bool ExpressionsVary(const std::vector<proto::Architecture>& listed) {
  std::set<std::string> expressions;
  for (const auto& each : listed)
    for (const auto& layer : each.layer())
      if (layer.ffn().has_expression()) expressions.insert(layer.ffn().expression());
  return expressions.size() > 1;
}

}  // namespace

StageSpace StageSpace::OfList(const std::vector<proto::Architecture>& listed, const SpaceContext& context,
                              const std::string& where) {
  if (listed.empty()) throw BadRequest(where, "holds no architecture");
  proto::Study study;
  *study.mutable_space() = SpaceAround(listed, where);
  auto* stage = study.add_stage();
  stage->set_name(where);
  for (const auto what : {proto::Stage::HIDDEN, proto::Stage::LAYERS, proto::Stage::EMBEDDING,
                          proto::Stage::MIXER, proto::Stage::STACKS, proto::Stage::RATIO, proto::Stage::FORM})
    stage->add_vary(what);
  if (ExpressionsVary(listed)) stage->add_vary(proto::Stage::EXPRESSION);

  StageSpace space(study, study.stage(0), listed[0], context);
  auto plan = std::make_shared<Plan>(*space.plan_);
  plan->list.emplace(listed);
  std::vector<SectionPlan> held;
  for (auto& section : plan->sections) {
    section.points.reset();
    for (const auto& each : listed)
      if (section.Holds(each)) section.listed.push_back(each);
    if (!section.listed.empty()) held.push_back(std::move(section));
  }
  plan->sections = std::move(held);
  space.plan_ = plan;
  return space;
}

Listing::Listing(const std::vector<proto::Architecture>& listed) : listed_(listed) {
  for (size_t i = 0; i < listed.size(); ++i) {
    fields_.push_back(FieldsOf(listed[i]));
    const bool first = places_.emplace(models::CanonicalArchitecture(listed[i]), i).second;
    THIMBLE_CHECK(first, "an architecture is listed twice: " + listed[i].ShortDebugString());
  }
}

bool Listing::Has(const proto::Architecture& architecture) const {
  return places_.count(models::CanonicalArchitecture(architecture)) > 0;
}

std::optional<proto::Architecture> Listing::Near(const proto::Architecture& wanted,
                                                 const std::vector<proto::Architecture>& excluded,
                                                 uint64_t step, Random* random) const {
  std::set<size_t> out;
  for (const auto& each : excluded)
    if (const auto found = places_.find(models::CanonicalArchitecture(each)); found != places_.end())
      out.insert(found->second);
  const Fields fields = FieldsOf(wanted);
  std::map<int, std::vector<size_t>> by_distance;
  for (size_t i = 0; i < listed_.size(); ++i)
    if (out.count(i) == 0) by_distance[Distance(fields, fields_[i])].push_back(i);
  if (by_distance.empty()) return std::nullopt;
  auto at = by_distance.begin();
  for (; step > 0 && std::next(at) != by_distance.end(); --step) ++at;
  return listed_[at->second[random->Below(at->second.size())]];
}

Listing::Fields Listing::FieldsOf(const proto::Architecture& architecture) {
  const auto number = [](int64_t value) { return static_cast<uint64_t>(value); };
  Fields fields{.global = {number(architecture.hidden()), number(architecture.layer_size()),
                           Hash64(architecture.embedding().SerializeAsString())},
                .layers = {}};
  for (const auto& layer : architecture.layer())
    fields.layers.push_back({Hash64(layer.mixer().SerializeAsString()), number(layer.ffn().stacks()),
                             Hash64(layer.ffn().has_none()    ? "none"
                                    : layer.ffn().width() > 0 ? std::to_string(layer.ffn().width())
                                                              : layer.ffn().ratio()),
                             Hash64(FormOf(layer.ffn()).SerializeAsString()),
                             Hash64(layer.ffn().expression())});
  return fields;
}

int Listing::Distance(const Fields& a, const Fields& b) {
  int distance = 0;
  for (size_t i = 0; i < a.global.size(); ++i) distance += a.global[i] != b.global[i];
  const size_t depth = std::max(a.layers.size(), b.layers.size());
  for (size_t i = 0; i < depth; ++i) {
    const auto &of_a = a.layers[i * a.layers.size() / depth], &of_b = b.layers[i * b.layers.size() / depth];
    for (size_t k = 0; k < of_a.size(); ++k) distance += of_a[k] != of_b[k];
  }
  return distance;
}

}  // namespace thimble::search
