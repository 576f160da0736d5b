#include "search/space.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "models/encoder/bert.h"
#include "models/encoder/resolve.h"
#include "search/space_plan.h"

namespace thimble::search {
namespace {

models::ExpressionSampler MakeSampler(const proto::LayerSpace& layer,
                                      const models::ResolvedArchitecture& shape) {
  const auto& given = layer.ffn().expression();
  models::ExpressionRules rules{.min_height = given.min_height(), .max_height = given.max_height()};
  const auto named = [](const std::string& name) {
    const auto op = models::OperatorNamed(name);
    THIMBLE_CHECK(op.has_value(), name);
    return *op;
  };
  for (const int op : given.unary())
    rules.unary.push_back(
        named(proto::ExpressionSpace::Unary_Name(static_cast<proto::ExpressionSpace::Unary>(op))));
  for (const int op : given.binary())
    rules.binary.push_back(
        named(proto::ExpressionSpace::Binary_Name(static_cast<proto::ExpressionSpace::Binary>(op))));
  // Every width the layer may take in any stage: a later stage is free to choose another one.
  for (const auto& inner : InnerChoices(layer.ffn()))
    if (!inner.has_none())
      rules.widths.push_back({shape.hidden, models::InnerWidth(inner, shape.ffn_hidden)});
  return models::ExpressionSampler(std::move(rules));
}

bool IsIn(const proto::Stage& stage, proto::Stage::Vary what) {
  return std::find(stage.vary().begin(), stage.vary().end(), what) != stage.vary().end();
}

// Layers of a section as a stage sees them. `base`: fixes what does not vary; of another section layers at
// the same height do. `all`: everything varies but expressions.
SectionPlan PlanSection(const proto::Space& section, const proto::Stage& stage,
                        const proto::Architecture& base, const SpaceContext& context, bool all) {
  SectionPlan plan;
  const auto varies = [&](proto::Stage::Vary what) { return all || IsIn(stage, what); };
  const bool own = IsOf(section, base);
  plan.base = own ? base : SeedArchitecture(section, context);
  const models::ResolvedArchitecture shape = models::Resolve(plan.base);
  const auto layers = LayersOf(section);
  const auto count = static_cast<int>(layers.size());
  for (int i = 0; i < count; ++i) {
    const auto& ffn = layers[i].ffn();
    const auto& like = base.layer(i * base.layer_size() / count);
    auto* fixed = plan.base.mutable_layer(i);
    if (!own && !varies(proto::Stage::MIXER))
      for (const auto& mixer : layers[i].mixer())
        if (mixer.SerializeAsString() == like.mixer().SerializeAsString()) *fixed->mutable_mixer() = mixer;
    if (!own) *fixed->mutable_ffn() = like.ffn();
    // A base without a block says nothing of what one would hold.
    LayerPlan layer{.mixers = {fixed->mixer()},
                    .stacks = {fixed->ffn().stacks()},
                    .inner = {InnerOf(fixed->ffn())},
                    .base = models::Expression::Parse(
                        fixed->ffn().has_expression() ? fixed->ffn().expression() : ffn.expression().seed())};
    if (varies(proto::Stage::MIXER)) layer.mixers.assign(layers[i].mixer().begin(), layers[i].mixer().end());
    if (varies(proto::Stage::STACKS)) layer.stacks.assign(ffn.stacks().begin(), ffn.stacks().end());
    if (varies(proto::Stage::RATIO) || varies(proto::Stage::FORM)) {
      layer.inner.clear();
      for (const auto& inner : InnerChoices(ffn))
        if ((varies(proto::Stage::RATIO) || SameSize(inner, fixed->ffn())) &&
            (varies(proto::Stage::FORM) || inner.has_none() || fixed->ffn().has_none() ||
             models::SameForm(inner, fixed->ffn())))
          layer.inner.push_back(inner);
      // A layer at the same height of another depth may have a form that this one does not offer.
      if (layer.inner.empty()) layer.inner = {InnerOf(fixed->ffn())};
    }
    layer.ListBlocks();
    if (!all && IsIn(stage, proto::Stage::EXPRESSION)) {
      layer.expressions = MakeSampler(layers[i], shape);
      if (layer.expressions->empty())
        throw BadRequest("space, layer " + std::to_string(i),
                         "no valid expression has these operators and heights",
                         ffn.expression().ShortDebugString());
      plan.fields.push_back({i, proto::Stage::EXPRESSION});
    }
    if (layer.stacks.size() > 1) plan.fields.push_back({i, proto::Stage::STACKS});
    const auto several = [&](const auto& same) {
      return std::any_of(layer.inner.begin(), layer.inner.end(),
                         [&](const auto& inner) { return !same(inner, layer.inner[0]); });
    };
    if (several(SameSize)) plan.fields.push_back({i, proto::Stage::RATIO});
    if (several(models::SameForm)) plan.fields.push_back({i, proto::Stage::FORM});
    if (layer.mixers.size() > 1) plan.fields.push_back({i, proto::Stage::MIXER});
    plan.layers.push_back(std::move(layer));
  }
  return plan;
}

// Those whose layers are all alike: of parts that all layers offer.
std::vector<proto::Architecture> Alike(const SectionPlan& plan) {
  std::vector<proto::Architecture> all;
  const LayerPlan& first = plan.layers[0];
  for (const auto& mixer : first.mixers)
    for (const auto& block : first.blocks) {
      proto::Layer layer;
      *layer.mutable_mixer() = mixer;
      *layer.mutable_ffn() = MakeFeedForward(block.inner, block.stacks, first.base.ToString());
      if (!std::all_of(plan.layers.begin(), plan.layers.end(),
                       [&](const LayerPlan& each) { return each.MixerOf(layer) && each.BlockOf(layer); }))
        continue;
      auto& uniform = all.emplace_back(plan.base);
      for (auto& each : *uniform.mutable_layer()) each = layer;
    }
  return all;
}

bool KeepsAll(const std::vector<Limit>& limits, const SectionPlan& section,
              const proto::Architecture& architecture) {
  for (size_t i = 0; i < limits.size(); ++i)
    if (!limits[i].Keeps(section.Cost(architecture, limits, i))) return false;
  return true;
}

// Which points there are.
void Count(const std::vector<Limit>& limits, bool plain_bert, const SpaceContext& context,
           SectionPlan* plan) {
  CountPoints(limits, plan);
  if (!plain_bert) return;
  for (auto& uniform : Alike(*plan))
    if (models::IsPlainBert(models::Resolve(uniform), context.head == models::TaskHead::kPooled) &&
        KeepsAll(limits, *plan, uniform))
      plan->listed.push_back(std::move(uniform));
  plan->points.reset();
}

// Nothing is feasible: what there is.
Error NothingWithin(const std::vector<Limit>& limits, bool plain_bert,
                    const std::vector<SectionPlan>& sections, const std::string& label) {
  std::string wanted, offered;
  for (size_t i = 0; i < limits.size(); ++i) {
    const Limit& limit = limits[i];
    double least = HUGE_VAL, most = 0;
    for (const auto& section : sections) {
      const auto [low, high] = section.costs[i].Range();
      least = std::min(least, low), most = std::max(most, high);
    }
    wanted += (i ? " and " : "") + limit.Text(limit.min) + " to " + limit.Text(limit.max) + " " + limit.what;
    offered += (i ? ", " : "") + limit.Text(least) + " to " + limit.Text(most) + " " + limit.what;
  }
  if (plain_bert) wanted += " and plain_bert";
  return BadRequest("constraint", "no candidate of " + label + " is within the limits", wanted,
                    "what the space offers here: " + offered);
}

}  // namespace

StageSpace::StageSpace(const proto::Study& study, const proto::Stage& stage, const proto::Architecture& base,
                       const SpaceContext& context) {
  ValidateSpace(study.space(), "space");
  auto plan = std::make_shared<Plan>();
  plan->study = study;
  plan->stage = stage;
  plan->base = base;
  plan->context = context;
  plan->limits = LimitsOf(study, context);
  plan->plain_bert = WantsPlainBert(study);
  if (plan->limits.empty()) {
    proto::Study unbounded;
    unbounded.add_constraint()->mutable_parameters()->set_max(INT64_MAX);
    plan->limits = LimitsOf(unbounded, context);
    plan->limits[0].max = HUGE_VAL;
  }
  plan_ = plan;

  const std::string label = "stage \"" + stage.name() + "\"";
  models::Resolve(base, label);
  const auto own = SectionOf(study.space(), base);
  const auto add_global = [&](proto::Stage::Vary what, int values) {
    if (IsIn(stage, what) && values > 1) plan->global.push_back(what);
    return IsIn(stage, what);
  };
  const bool hidden = add_global(proto::Stage::HIDDEN, study.space().hidden_size());
  const bool layers = add_global(proto::Stage::LAYERS, study.space().layers_size());
  const bool embedding = add_global(proto::Stage::EMBEDDING, study.space().embedding_size());
  std::vector<SectionPlan> empty;
  for (const auto& section : Sections(study.space())) {
    if (!hidden && section.hidden(0) != own.hidden(0)) continue;
    if (!layers && section.layers(0) != own.layers(0)) continue;
    if (!embedding && !SameEmbedding(section.embedding(0), own.embedding(0))) continue;
    SectionPlan one = PlanSection(section, stage, base, context, /*all=*/false);
    Count(plan->limits, plan->plain_bert, context, &one);
    (one.Points() > 0 ? plan->sections : empty).push_back(std::move(one));
  }
  if (plan->sections.empty()) throw NothingWithin(plan->limits, plan->plain_bert, empty, label);
}

const proto::Architecture& StageSpace::base() const { return plan_->base; }
const proto::Study& StageSpace::study() const { return plan_->study; }
const SpaceContext& StageSpace::context() const { return plan_->context; }
const std::vector<Limit>& StageSpace::limits() const { return plan_->limits; }
const std::vector<SectionPlan>& StageSpace::sections() const { return plan_->sections; }
bool StageSpace::varies(proto::Stage::Vary what) const { return IsIn(plan_->stage, what); }

const SectionPlan* StageSpace::Plan::Find(const proto::Architecture& architecture) const {
  for (const auto& section : sections)
    if (section.Holds(architecture)) return &section;
  return nullptr;
}

bool StageSpace::Plan::Keeps(const proto::Architecture& architecture) const {
  if (list) return list->Has(architecture);
  const SectionPlan* section = Find(architecture);
  if (section == nullptr || !KeepsAll(limits, *section, architecture)) return false;
  return !plain_bert ||
         models::IsPlainBert(models::Resolve(architecture), context.head == models::TaskHead::kPooled);
}

bool StageSpace::Feasible(const proto::Architecture& architecture) const {
  return plan_->Keeps(architecture);
}

double StageSpace::Cost(const proto::Architecture& architecture) const {
  const SectionPlan* section = plan_->Find(architecture);
  return section == nullptr ? plan_->limits[0].cost(architecture)
                            : section->Cost(architecture, plan_->limits, 0);
}

std::vector<proto::Architecture> StageSpace::Uniform() const {
  std::vector<proto::Architecture> all;
  for (const auto& section : plan_->sections)
    for (auto& uniform : Alike(section))
      if (Feasible(uniform)) all.push_back(std::move(uniform));
  return all;
}

Feasibility StageSpace::CountFeasible() const {
  Feasibility sum{.smallest = HUGE_VAL, .cost = plan_->limits[0].what};
  sum.others = static_cast<int>(plan_->limits.size()) - 1;
  for (const auto& section : Sections(plan_->study.space())) {
    SectionPlan all = PlanSection(section, plan_->stage, plan_->base, plan_->context, /*all=*/true);
    Count(plan_->limits, plan_->plain_bert, plan_->context, &all);
    double points = 1;
    for (const auto& layer : all.layers)
      points *= static_cast<double>(layer.mixers.size() * layer.blocks.size());
    const auto [low, high] = all.costs[0].Range();
    sum.points += points;
    sum.feasible += all.Points();
    sum.exact = sum.exact && plan_->limits[all.counted].whole && (!all.points || all.points->exact());
    sum.smallest = std::min(sum.smallest, low);
    sum.largest = std::max(sum.largest, high);
  }
  return sum;
}

}  // namespace thimble::search
