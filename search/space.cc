#include "search/space.h"

#include <algorithm>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "models/encoder/cost.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "search/space_plan.h"

namespace thimble::search {
namespace {

int64_t CountAs(proto::Counting counting, const models::Shape& shape, const SpaceContext& context) {
  return counting == proto::PAPER ? models::PaperParameters(shape, context.teacher_hidden)
                                  : models::DeployedParameters(shape, context.classes, context.head);
}

proto::Counting FirstCounting(const proto::Study& study) {
  for (const auto& constraint : study.constraint())
    if (constraint.has_parameters()) return constraint.parameters().counting();
  return proto::DEPLOYED;
}

// The constraints on parameters; without one, no bound on what is deployed.
std::vector<ParameterLimit> Limits(const proto::Study& study, const models::Shape& shape, const SpaceContext& context) {
  std::vector<ParameterLimit> all;
  const int64_t layers = models::LayersParameters(shape);
  for (int i = 0; i < study.constraint_size(); ++i) {
    if (!study.constraint(i).has_parameters()) continue;
    const auto& limits = study.constraint(i).parameters();
    const std::string where = "constraint[" + std::to_string(i) + "].parameters";
    if (limits.min() > limits.max())
      throw BadRequest(where + ".min", "is above max", std::to_string(limits.min()),
                       "up to " + std::to_string(limits.max()));
    if (limits.counting() == proto::PAPER && context.teacher_hidden == 0)
      throw BadRequest(where + ".counting",
                       "PAPER counts a projection to the teacher's width, which is not known", "",
                       "a teacher that is there, or teacher { hidden: WIDTH }");
    all.push_back({CountAs(limits.counting(), shape, context) - layers, limits.min(), limits.max()});
  }
  if (all.empty()) all.push_back({CountAs(proto::DEPLOYED, shape, context) - layers});
  return all;
}

// All of them as one interval for the sum of the layers' parameters, the only part that options change.
std::pair<int64_t, int64_t> LayersInterval(const std::vector<ParameterLimit>& limits) {
  int64_t low = 0, high = kUnbounded;
  for (const auto& limit : limits) {
    low = std::max<int64_t>(low, limit.min - limit.fixed);
    if (limit.max < kUnbounded) high = std::min<int64_t>(high, limit.max - limit.fixed);
  }
  return {low, high};
}

std::vector<std::vector<int64_t>> Costs(const std::vector<LayerPlan>& layers, const models::Shape& shape) {
  std::vector<std::vector<int64_t>> costs;
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerPlan& plan = layers[i];
    std::vector<int64_t> of_mixers, of_blocks;  // of one block, by inner width
    for (const proto::Mixer& mixer : plan.mixers) of_mixers.push_back(models::MixerParameters(shape, mixer));
    for (const proto::FeedForward& inner : plan.inner) {
      models::LayerShape layer;
      layer.ffn = MakeFeedForward(inner, 1, plan.base.ToString());
      layer.expression = plan.base;
      layer.width = models::InnerWidth(inner, shape.ffn_hidden);
      of_blocks.push_back(models::FeedForwardParameters(shape, layer));
    }
    auto& options = costs.emplace_back();
    for (const auto& [mixer, stacks, inner] : plan.options)
      options.push_back(of_mixers[mixer] + of_blocks[inner] * (plan.inner[inner].has_none() ? 1 : plan.stacks[stacks]));
  }
  return costs;
}

models::ExpressionSampler MakeSampler(const proto::LayerSpace& layer, const models::Shape& shape) {
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
    if (!inner.has_none()) rules.widths.push_back({shape.hidden, models::InnerWidth(inner, shape.ffn_hidden)});
  return models::ExpressionSampler(std::move(rules));
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
  plan_ = plan;

  const std::string label = "stage \"" + stage.name() + "\"";
  const models::Shape shape = models::Resolve(base, label);
  const auto layers = LayersOf(study.space());
  THIMBLE_CHECK(shape.layers.size() == layers.size(), label);
  for (int i = 0; i < static_cast<int>(layers.size()); ++i) {
    const auto& ffn = layers[i].ffn();
    const auto& fixed = base.layer(i).ffn();
    // A base without a block says nothing of what one would hold.
    LayerPlan layer{{base.layer(i).mixer()}, {fixed.stacks()}, {InnerOf(fixed)},
                    models::Expression::Parse(fixed.has_expression() ? fixed.expression() : ffn.expression().seed())};
    if (varies(proto::Stage::MIXER)) layer.mixers.assign(layers[i].mixer().begin(), layers[i].mixer().end());
    if (varies(proto::Stage::STACKS)) layer.stacks.assign(ffn.stacks().begin(), ffn.stacks().end());
    if (varies(proto::Stage::RATIO)) layer.inner = InnerChoices(ffn);
    layer.ListOptions();
    if (varies(proto::Stage::EXPRESSION)) {
      layer.expressions = MakeSampler(layers[i], shape);
      if (layer.expressions->empty())
        throw BadRequest("space, layer " + std::to_string(i),
                         "no valid expression has these operators and heights",
                         ffn.expression().ShortDebugString());
      plan->fields.push_back({i, proto::Stage::EXPRESSION});
    }
    if (layer.stacks.size() > 1) plan->fields.push_back({i, proto::Stage::STACKS});
    if (layer.inner.size() > 1) plan->fields.push_back({i, proto::Stage::RATIO});
    if (layer.mixers.size() > 1) plan->fields.push_back({i, proto::Stage::MIXER});
    plan->layers.push_back(std::move(layer));
  }

  plan->limits = Limits(study, shape, context);
  plan->costs = Costs(plan->layers, shape);
  const auto [low, high] = LayersInterval(plan->limits);
  plan->points.emplace(plan->costs, low, high);
  if (plan->points->feasible() > 0) return;
  std::string wanted;
  for (const auto& constraint : study.constraint()) {
    const auto& limits = constraint.parameters();
    wanted += (wanted.empty() ? "" : " and ") + std::to_string(limits.min()) + " to " +
              std::to_string(limits.max()) + " (" + proto::Counting_Name(limits.counting()) + ")";
  }
  const int64_t fixed = plan->limits.front().fixed;
  throw BadRequest("constraint", "no candidate of " + label + " has so many parameters", wanted,
                   "what the space offers here: " + std::to_string(fixed + plan->points->smallest()) +
                       " to " + std::to_string(fixed + plan->points->largest()) + " (" +
                       proto::Counting_Name(FirstCounting(study)) + ")");
}

const proto::Architecture& StageSpace::base() const { return plan_->base; }

bool StageSpace::varies(proto::Stage::Vary what) const {
  const auto& vary = plan_->stage.vary();
  return std::find(vary.begin(), vary.end(), what) != vary.end();
}

int64_t StageSpace::Plan::LayersParameters(const proto::Architecture& architecture) const {
  int64_t sum = 0;
  for (int i = 0; i < architecture.layer_size(); ++i) {
    const auto option = layers[i].Option(architecture.layer(i));
    if (!option) return models::LayersParameters(models::Resolve(architecture));
    sum += costs[i][*option];
  }
  return sum;
}

bool StageSpace::Feasible(const proto::Architecture& architecture) const {
  const int64_t of_layers = plan_->LayersParameters(architecture);
  return std::all_of(plan_->limits.begin(), plan_->limits.end(), [&](const ParameterLimit& limit) {
    return limit.fixed + of_layers >= limit.min && limit.fixed + of_layers <= limit.max;
  });
}

int64_t StageSpace::Count(const proto::Architecture& architecture) const {
  return plan_->limits.front().fixed + plan_->LayersParameters(architecture);
}

Feasibility StageSpace::CountFeasible() const {
  std::vector<LayerPlan> layers;
  for (const auto& layer : LayersOf(plan_->study.space())) {
    layers.push_back({{layer.mixer().begin(), layer.mixer().end()},
                      {layer.ffn().stacks().begin(), layer.ffn().stacks().end()},
                      InnerChoices(layer.ffn()),
                      plan_->layers[layers.size()].base});
    layers.back().ListOptions();
  }
  const auto [low, high] = LayersInterval(plan_->limits);
  const FeasiblePoints points(Costs(layers, models::Resolve(plan_->base)), low, high);
  const int64_t fixed = plan_->limits.front().fixed;
  return {points.points(), points.feasible(), fixed + points.smallest(), fixed + points.largest()};
}

}  // namespace thimble::search
