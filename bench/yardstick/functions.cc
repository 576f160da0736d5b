#include <algorithm>
#include <cmath>
#include <map>

#include "base/config.h"
#include "base/error.h"
#include "bench/yardstick/yardstick.h"
#include "models/arch/architecture.h"
#include "models/encoder/resolve.h"
#include "search/cut_space.h"
#include "search/space_plan.h"

namespace thimble::bench {
namespace {

constexpr double kShape = 0.25;  // what hidden width and depth weigh each, beside all layers together
constexpr int kDraws = 1000;     // of the space, for the size of the noise
constexpr double kNoise =
    0.5;  // of the standard deviation over these: 0.0079 of 0.0148 (SST-2), 0.0231 of 0.0514 (QNLI, KL)
constexpr double kWithin =
    0.3;  // mean distance of two neighbours from the best point below which a trap leads to it
constexpr double kFalseBest = 0.3;  // what is lacking at the far end of a trap

// What is searched in a layer, on a scale of 0 to 1 each, and how often each operator occurs in its
// expression.
struct LayerFacts {
  double heads = 0, width = 0, stacks = 0;
  std::map<std::string, int> operators{};
};

// The greatest numbers that the space has.
struct Scales {
  double hidden = 1, layers = 1, heads = 1, width = 1, stacks = 1;
  bool expressions = false;
};

struct Facts {
  double hidden = 0, depth = 0;
  std::vector<LayerFacts> layers;
};

Facts FactsOf(const proto::Architecture& architecture, const Scales& scales) {
  const models::ResolvedArchitecture shape = models::Resolve(architecture);
  Facts facts{.hidden = shape.hidden / scales.hidden,
              .depth = static_cast<double>(shape.layers.size()) / scales.layers,
              .layers = {}};
  for (const auto& layer : shape.layers) {
    auto& of = facts.layers.emplace_back();
    of.heads = models::SizeOf(shape, layer.mixer).heads / scales.heads;
    of.width = layer.width / scales.width;
    of.stacks = layer.width > 0 ? layer.stacks / scales.stacks : 0;
    if (scales.expressions && layer.ffn.has_expression())
      for (const auto& node : layer.expression.nodes())
        ++of.operators[std::string(models::OperatorName(node.op))];
  }
  return facts;
}

double Distance(const LayerFacts& a, const LayerFacts& b, bool expressions) {
  double sum = std::abs(a.heads - b.heads) + std::abs(a.width - b.width) + std::abs(a.stacks - b.stacks);
  if (!expressions) return sum / 3;
  // Operators that only one of the two has, of all.
  double different = 0, all = 0;
  auto names = a.operators;
  names.insert(b.operators.begin(), b.operators.end());
  const auto count = [](const LayerFacts& of, const std::string& name) {
    const auto found = of.operators.find(name);
    return found == of.operators.end() ? 0 : found->second;
  };
  for (const auto& [name, unused] : names) {
    different += std::abs(count(a, name) - count(b, name));
    all += std::max(count(a, name), count(b, name));
  }
  return (sum + (all > 0 ? different / all : 0)) / 4;
}

// 0 at the best point. Layers are compared with its layer at the same height.
class Landscape {
 public:
  Landscape(const proto::Architecture& best, const Scales& scales, bool trap)
      : scales_(scales), best_(FactsOf(best, scales)), trap_(trap) {}

  double operator()(const proto::Architecture& architecture) const {
    const Facts facts = FactsOf(architecture, scales_);
    const auto depth = static_cast<int>(facts.layers.size()), wanted = static_cast<int>(best_.layers.size());
    std::vector<double> distances;
    for (int i = 0; i < depth; ++i)
      distances.push_back(Distance(facts.layers[i], best_.layers[i * wanted / depth], scales_.expressions));
    double sum = 0;
    for (int i = 0; i < depth; ++i)
      sum += trap_ ? Trap((distances[i] + distances[(i + 1) % depth]) / 2) : distances[i];
    const double shape = std::abs(facts.hidden - best_.hidden) + std::abs(facts.depth - best_.depth);
    return -100 * (sum / depth + kShape * shape) / (1 + 2 * kShape);
  }

 private:
  // Deb and Goldberg, Analyzing deception in trap functions, 1993, on a continuous scale.
  static double Trap(double distance) {
    return distance <= kWithin ? distance / kWithin
                               : kFalseBest + (1 - kFalseBest) * (1 - distance) / (1 - kWithin);
  }

  Scales scales_;
  Facts best_;
  bool trap_;
};

proto::Study StudyOf(const std::string& text) {
  proto::Study study;
  ParseText(
      "teacher { model: 'teacher' } data { directory: 'data' task { sample {} } } recipe { optimizer { adamw "
      "{ learning_rate: 1e-4 } } } " +
          text,
      "yardstick", &study);
  return study;
}

Yardstick Empty(const std::string& name, const proto::Study& study, const search::SpaceContext& context) {
  return {.name = name,
          .unit = "percent",
          .space = search::StageSpace(study, study.stage(0), search::SeedArchitecture(study.space(), context),
                                      context),
          .stage = study.stage(0)};
}

// Of a teacher of four layers, half its multiply-adds.
Yardstick Shapes() {
  search::SpaceContext context{.classes = 2, .teacher_hidden = 128};
  context.teacher.emplace();
  ParseText("vocabulary: 1000 positions: 128 hidden: 128 heads: 4 embedding { plain {} }", "teacher",
            &*context.teacher);
  for (int i = 0; i < 4; ++i)
    ParseText("mixer { self_attention {} } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' width: 256 }",
              "layer", context.teacher->add_layer());
  auto study = StudyOf(R"(space { hidden: 1 heads: 1 layers: 1 embedding { plain {} } }
    constraint { multiply_adds { speedup: 2 } }
    stage { name: "only" vary: [HEADS, WIDTH, HIDDEN, LAYERS] evaluator { untrained {} } trials: 200 })");
  *study.mutable_space() = search::CutSpace(models::Resolve(*context.teacher));
  return Empty("shapes", study, context);
}

Yardstick Expressions() {
  const auto study = StudyOf(R"(space { hidden: 540 heads: 12 layers: 6 embedding { trigram {} }
                                        layer { mixer { self_attention {} } ffn { expression {} } } }
    constraint { parameters { min: 15000000 max: 16000000 counting: PAPER } }
    stage { name: "only" vary: [EXPRESSION, STACKS, RATIO] evaluator { untrained {} } trials: 200 })");
  return Empty("expressions", study, {.classes = 2, .teacher_hidden = 768});
}

Scales ScalesOf(const search::StageSpace& space) {
  Scales scales{.expressions = space.varies(proto::Stage::EXPRESSION)};
  for (const auto& section : space.sections()) {
    const models::ResolvedArchitecture shape = models::Resolve(section.base);
    scales.hidden = std::max<double>(scales.hidden, shape.hidden);
    scales.layers = std::max(scales.layers, static_cast<double>(shape.layers.size()));
    for (const auto& layer : section.layers) {
      for (const auto& mixer : layer.mixers)
        scales.heads = std::max<double>(scales.heads, models::SizeOf(shape, mixer).heads);
      for (const auto& block : layer.blocks) {
        scales.width = std::max<double>(scales.width, models::InnerWidth(block.inner, shape.ffn_hidden));
        scales.stacks = std::max<double>(scales.stacks, block.stacks);
      }
    }
  }
  return scales;
}

double Deviation(const Yardstick& yardstick) {
  Random random(1);
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double score = yardstick.score(*yardstick.space.Sample(&random));
    sum += score;
    squares += score * score;
  }
  return std::sqrt(squares / kDraws - sum / kDraws * sum / kDraws);
}

}  // namespace

std::vector<Yardstick> Functions() {
  std::vector<Yardstick> all;
  for (const auto& space : {Shapes(), Expressions()}) {
    Random random(7);
    const proto::Architecture best = *space.space.Sample(&random);
    const Scales scales = ScalesOf(space.space);
    for (const char* form : {"separable", "trap", "noisy"}) {
      auto& yardstick = all.emplace_back(space);
      yardstick.name += std::string(", ") + form;
      yardstick.score = Landscape(best, scales, form == std::string("trap"));
      if (form == std::string("noisy")) yardstick.noise = kNoise * Deviation(yardstick);
    }
  }
  return all;
}

}  // namespace thimble::bench
