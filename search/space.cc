#include "search/space.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "models/encoder/cost.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
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

// What each layer may be, its empty choices filled.
std::vector<proto::LayerSpace> LayersOf(const proto::Space& space) {
  std::vector<proto::LayerSpace> layers(space.layers());
  for (const bool named : {false, true})  // named blocks replace the common one
    for (proto::LayerSpace block : space.layer()) {
      if ((block.at_size() > 0) != named) continue;
      FillChoices(&block);
      const auto at = block.at();
      block.clear_at();
      if (!named) std::fill(layers.begin(), layers.end(), block);
      for (const int layer : at) layers.at(layer) = block;
    }
  return layers;
}

void ValidateMixers(const proto::LayerSpace& block, const proto::Space& space, const std::string& where) {
  models::Shape shape;
  shape.hidden = space.hidden();
  shape.heads = space.heads();
  std::set<std::string> seen;
  for (int i = 0; i < block.mixer_size(); ++i) {
    const std::string here = where + "[" + std::to_string(i) + "]", text = models::TextOf(block.mixer(i));
    if (!seen.insert(text).second) throw BadRequest(here, "a value stands twice", text, "each value once");
    const auto& entry = models::EntryOf(block.mixer(i));
    if (entry.check != nullptr) entry.check(block.mixer(i), shape, here + "." + entry.name);
  }
}

int FfnHidden(const proto::Space& space) {
  return space.ffn_hidden() > 0 ? space.ffn_hidden() : space.hidden();
}

template <typename List>
void RefuseRepeats(const List& list, const std::string& where) {
  using Value = typename List::value_type;
  std::set<Value> seen;
  for (const Value& value : list) {
    if (seen.insert(value).second) continue;
    if constexpr (std::is_same_v<Value, std::string>)
      throw BadRequest(where, "a value stands twice", value, "each value once");
    else
      throw BadRequest(where, "a value stands twice", std::to_string(value), "each value once");
  }
}

void ValidateFfn(const proto::FeedForwardSpace& given, const proto::Space& space, const std::string& where) {
  proto::FeedForwardSpace ffn = given;
  FillChoices(&ffn);
  const auto& expression = ffn.expression();
  RefuseRepeats(ffn.stacks(), where + ".stacks");
  RefuseRepeats(ffn.ratio(), where + ".ratio");
  RefuseRepeats(expression.unary(), where + ".expression.unary");
  RefuseRepeats(expression.binary(), where + ".expression.binary");
  if (expression.min_height() > expression.max_height())
    throw BadRequest(where + ".expression.min_height", "is above max_height",
                     std::to_string(expression.min_height()),
                     "up to " + std::to_string(expression.max_height()));
  const auto seed = models::Expression::Parse(expression.seed(), where + ".expression.seed");
  for (const std::string& ratio : ffn.ratio()) {
    const int inner = models::RatioWidth(ratio, FfnHidden(space), where + ".ratio");
    const std::string problem = seed.WhyWidthsFail(space.hidden(), inner);
    if (!problem.empty())
      throw BadRequest(where + ".expression.seed", "at ratio " + ratio + " " + problem, expression.seed(),
                       "an expression that fits every ratio of its layer");
  }
}

// Of each kind of mixer the one with the widest context, the first of that width. The first kind comes first.
std::vector<proto::Mixer> LargestMixers(const proto::LayerSpace& options, const proto::Space& space) {
  models::Shape shape;
  shape.hidden = space.hidden();
  shape.heads = space.heads();
  std::vector<proto::Mixer> largest;
  for (const proto::Mixer& mixer : options.mixer()) {
    const auto same = std::find_if(largest.begin(), largest.end(), [&](const proto::Mixer& known) {
      return known.kind_case() == mixer.kind_case();
    });
    if (same == largest.end()) {
      largest.push_back(mixer);
    } else if (models::SizeOf(shape, mixer).context > models::SizeOf(shape, *same).context) {
      *same = mixer;
    }
  }
  return largest;
}

proto::Architecture Build(const proto::Space& space, const SpaceContext& context, bool largest) {
  proto::Architecture architecture;
  architecture.set_vocabulary(space.vocabulary());
  architecture.set_positions(space.positions());
  architecture.set_segments(space.segments());
  architecture.set_hidden(space.hidden());
  architecture.set_heads(space.heads());
  architecture.set_ffn_hidden(FfnHidden(space));
  architecture.set_pooler(space.pooler() > 0           ? space.pooler()
                          : context.teacher_hidden > 0 ? context.teacher_hidden
                                                       : space.hidden());
  architecture.set_layer_norm_epsilon(space.layer_norm_epsilon());
  *architecture.mutable_embedding() = space.embedding();
  for (const proto::LayerSpace& options : LayersOf(space)) {
    auto* layer = architecture.add_layer();
    *layer->mutable_mixer() = options.mixer(0);
    if (largest) {
      const auto mixers = LargestMixers(options, space);
      *layer->mutable_mixer() = mixers[0];
      layer->mutable_beside()->Assign(mixers.begin() + 1, mixers.end());
    }
    const auto& ffn = options.ffn();
    const auto width = [&](const std::string& ratio) { return models::RatioWidth(ratio, FfnHidden(space)); };
    const auto narrower = [&](const auto& a, const auto& b) { return width(a) < width(b); };
    layer->mutable_ffn()->set_expression(ffn.expression().seed());
    layer->mutable_ffn()->set_stacks(largest ? *std::max_element(ffn.stacks().begin(), ffn.stacks().end())
                                             : ffn.stacks(0));
    layer->mutable_ffn()->set_ratio(
        largest ? *std::max_element(ffn.ratio().begin(), ffn.ratio().end(), narrower) : ffn.ratio(0));
  }
  return architecture;
}

int64_t CountAs(proto::Counting counting, const models::Shape& shape, const SpaceContext& context) {
  return counting == proto::PAPER ? models::PaperParameters(shape, context.teacher_hidden)
                                  : models::DeployedParameters(shape, context.classes, context.head);
}

proto::Counting FirstCounting(const proto::Study& study) {
  for (const auto& constraint : study.constraint())
    if (constraint.has_parameters()) return constraint.parameters().counting();
  return proto::DEPLOYED;
}

// All parameter constraints as one interval for the sum of the layers' parameters, the only part that a stage's
// options change.
std::pair<int64_t, int64_t> LayersInterval(const proto::Study& study, const models::Shape& shape,
                                                const SpaceContext& context) {
  int64_t low = 0, high = kUnbounded;
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
    const int64_t fixed = CountAs(limits.counting(), shape, context) - models::LayersParameters(shape);
    low = std::max<int64_t>(low, limits.min() - fixed);
    high = std::min<int64_t>(high, limits.max() - fixed);
  }
  return {low, high};
}

std::vector<std::vector<int64_t>> Costs(const std::vector<LayerPlan>& layers, const models::Shape& shape) {
  std::vector<std::vector<int64_t>> costs;
  for (size_t i = 0; i < layers.size(); ++i) {
    auto& options = costs.emplace_back();
    models::LayerShape layer = shape.layers[i];
    for (const proto::Mixer& mixer : layers[i].mixers) {
      const int64_t of_mixer = models::MixerParameters(shape, mixer);
      for (const int stacks : layers[i].stacks)
        for (const std::string& ratio : layers[i].ratio) {
          layer.stacks = stacks;
          layer.width = models::RatioWidth(ratio, shape.ffn_hidden);
          options.push_back(of_mixer + models::FeedForwardParameters(shape, layer));
        }
    }
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
  // Every ratio the layer may take in any stage: a later stage is free to choose another one.
  for (const std::string& ratio : layer.ffn().ratio())
    rules.widths.push_back({shape.hidden, models::RatioWidth(ratio, shape.ffn_hidden)});
  return models::ExpressionSampler(std::move(rules));
}

}  // namespace

void ValidateSpace(const proto::Space& space, const std::string& where) {
  if (space.hidden() % space.heads() != 0)
    throw BadRequest(where + ".heads", "the heads must divide the hidden width",
                     std::to_string(space.heads()), "a divisor of " + std::to_string(space.hidden()));
  int common = -1;
  std::set<int> named;
  for (int i = 0; i < space.layer_size(); ++i) {
    const auto& block = space.layer(i);
    const std::string here = where + ".layer[" + std::to_string(i) + "]";
    if (block.at_size() == 0) {
      if (common >= 0)
        throw BadRequest(here,
                         "a second block without `at`; layer[" + std::to_string(common) + "] is the first",
                         "", "one block without `at`, the others with the layers they replace it for");
      common = i;
    }
    for (const int at : block.at()) {
      if (at < 0 || at >= space.layers())
        throw BadRequest(here + ".at", "there is no such layer", std::to_string(at),
                         "0 to " + std::to_string(space.layers() - 1));
      if (!named.insert(at).second)
        throw BadRequest(here + ".at", "a layer is named twice", std::to_string(at), "each layer once");
    }
    ValidateMixers(block, space, here + ".mixer");
    ValidateFfn(block.ffn(), space, here + ".ffn");
  }
  if (common < 0 && static_cast<int>(named.size()) < space.layers()) {
    int missing = 0;
    while (named.count(missing)) ++missing;
    throw BadRequest(where + ".layer", "no block speaks for layer " + std::to_string(missing), "",
                     "a block without `at`");
  }
}

proto::LayerSpace LayerChoices(const proto::Space& space, int layer) { return LayersOf(space).at(layer); }

proto::Architecture LargestArchitecture(const proto::Space& space, const SpaceContext& context) {
  return Build(space, context, /*largest=*/true);
}

proto::Architecture SeedArchitecture(const proto::Space& space, const SpaceContext& context) {
  return Build(space, context, /*largest=*/false);
}

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
    LayerPlan layer{{base.layer(i).mixer()}, {fixed.stacks()}, {fixed.ratio()}, shape.layers[i].expression};
    if (varies(proto::Stage::MIXER)) layer.mixers.assign(layers[i].mixer().begin(), layers[i].mixer().end());
    if (varies(proto::Stage::STACKS)) layer.stacks.assign(ffn.stacks().begin(), ffn.stacks().end());
    if (varies(proto::Stage::RATIO)) layer.ratio.assign(ffn.ratio().begin(), ffn.ratio().end());
    if (varies(proto::Stage::EXPRESSION)) {
      layer.expressions = MakeSampler(layers[i], shape);
      if (layer.expressions->empty())
        throw BadRequest("space, layer " + std::to_string(i),
                         "no valid expression has these operators and heights",
                         ffn.expression().ShortDebugString());
      plan->fields.push_back({i, proto::Stage::EXPRESSION});
    }
    if (layer.stacks.size() > 1) plan->fields.push_back({i, proto::Stage::STACKS});
    if (layer.ratio.size() > 1) plan->fields.push_back({i, proto::Stage::RATIO});
    if (layer.mixers.size() > 1) plan->fields.push_back({i, proto::Stage::MIXER});
    plan->layers.push_back(std::move(layer));
  }

  const auto [low, high] = LayersInterval(study, shape, context);
  plan->points.emplace(Costs(plan->layers, shape), low, high);
  if (plan->points->feasible() > 0) return;
  std::string wanted;
  for (const auto& constraint : study.constraint()) {
    const auto& limits = constraint.parameters();
    wanted += (wanted.empty() ? "" : " and ") + std::to_string(limits.min()) + " to " +
              std::to_string(limits.max()) + " (" + proto::Counting_Name(limits.counting()) + ")";
  }
  const int64_t fixed = Count(base) - models::LayersParameters(shape);
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

bool StageSpace::Feasible(const proto::Architecture& architecture) const {
  const models::Shape shape = models::Resolve(architecture);
  for (const auto& constraint : plan_->study.constraint()) {
    if (!constraint.has_parameters()) continue;
    const auto& limits = constraint.parameters();
    const int64_t count = CountAs(limits.counting(), shape, plan_->context);
    if (count < limits.min() || count > limits.max()) return false;
  }
  return true;
}

int64_t StageSpace::Count(const proto::Architecture& architecture) const {
  return CountAs(FirstCounting(plan_->study), models::Resolve(architecture), plan_->context);
}

Feasibility StageSpace::CountFeasible() const {
  const models::Shape shape = models::Resolve(plan_->base);
  std::vector<LayerPlan> layers;
  for (const auto& layer : LayersOf(plan_->study.space()))
    layers.push_back({{layer.mixer().begin(), layer.mixer().end()},
                      {layer.ffn().stacks().begin(), layer.ffn().stacks().end()},
                      {layer.ffn().ratio().begin(), layer.ffn().ratio().end()}});
  const auto [low, high] = LayersInterval(plan_->study, shape, plan_->context);
  const FeasiblePoints points(Costs(layers, shape), low, high);
  const int64_t fixed = Count(plan_->base) - models::LayersParameters(shape);
  return {points.points(), points.feasible(), fixed + points.smallest(), fixed + points.largest()};
}

}  // namespace thimble::search
