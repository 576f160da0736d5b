#include "search/one_size.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "models/arch/expression_sampling.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "proto/space.pb.h"

namespace thimble::search {
namespace {

constexpr int kTries = 200;  // for each architecture
constexpr int kMostStacks = 4;
const char* const kRatios[] = {"1", "1/2", "1/3", "1/4"};

const std::string& BertsExpression() { return proto::ExpressionSpace::default_instance().seed(); }

// The searched part of `architecture` that stacks, ratios and ffn_hidden fix; expressions are filled in
// later.
proto::Architecture Skeleton(const models::ResolvedArchitecture& teacher, const OneSize& wanted, int layers,
                             Random* random) {
  auto result = models::LikeTeacher(teacher);
  result.set_hidden(wanted.hidden[random->Below(wanted.hidden.size())]);
  result.mutable_embedding()->mutable_trigram()->set_width(wanted.trigram);
  for (int i = 0; i < layers; ++i) {
    auto* layer = result.add_layer();
    layer->mutable_mixer()->mutable_self_attention();
    layer->mutable_ffn()->set_expression(BertsExpression());
    layer->mutable_ffn()->set_stacks(1 + static_cast<int>(random->Below(kMostStacks)));
    layer->mutable_ffn()->set_ratio(kRatios[random->Below(std::size(kRatios))]);
  }
  return result;
}

int64_t Count(proto::Architecture* architecture, int ffn_hidden, const OneSize& wanted) {
  architecture->set_ffn_hidden(ffn_hidden);
  return models::DeployedParameters(models::Resolve(*architecture), wanted.classes, wanted.head);
}

// The base width that comes nearest to `goal` from below; false if that is outside what OneSize allows.
bool FitWidth(int64_t goal, const OneSize& wanted, proto::Architecture* architecture) {
  const int hidden = architecture->hidden();
  int low = std::max(4, hidden / 4), high = 8 * hidden;
  if (Count(architecture, low, wanted) > goal || Count(architecture, high, wanted) < goal) return false;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (Count(architecture, middle, wanted) <= goal) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  const double count = static_cast<double>(Count(architecture, low, wanted));
  return std::abs(count / static_cast<double>(wanted.parameters) - 1) <= wanted.tolerance;
}

void DrawExpressions(proto::Architecture* architecture, Random* random) {
  const auto shape = models::Resolve(*architecture);
  std::vector<models::BlockWidths> widths;
  for (const auto& layer : shape.layers) widths.push_back({shape.hidden, layer.width});
  const models::ExpressionSampler sampler(models::PublishedRules(std::move(widths)));
  const auto plain = models::Expression::Parse(BertsExpression());
  const bool shared = random->Chance(0.5);
  std::string expression;
  for (auto& layer : *architecture->mutable_layer()) {
    if (!shared || expression.empty()) expression = sampler.Propose(plain, random).ToString();
    layer.mutable_ffn()->set_expression(expression);
  }
}

}  // namespace

std::vector<proto::Architecture> DrawOfOneSize(const models::ResolvedArchitecture& teacher,
                                               const OneSize& wanted, int count, const Random& random) {
  THIMBLE_CHECK(!wanted.layers.empty() && !wanted.hidden.empty() && wanted.together > 0,
                "nothing to choose from");
  std::vector<proto::Architecture> drawn;
  std::set<std::string> known;
  for (int i = 0; i < count; ++i) {
    Random draw = random.Fork("architecture", static_cast<uint64_t>(i));
    const int layers = wanted.layers[static_cast<size_t>(i / wanted.together) % wanted.layers.size()];
    bool found = false;
    for (int tries = 0; tries < kTries && !found; ++tries) {
      auto architecture = Skeleton(teacher, wanted, layers, &draw);
      const double factor = 1 + wanted.tolerance * (2 * draw.Uniform() - 1);
      const auto goal = static_cast<int64_t>(factor * static_cast<double>(wanted.parameters));
      if (!FitWidth(goal, wanted, &architecture)) continue;
      DrawExpressions(&architecture, &draw);
      found = known.insert(models::CanonicalArchitecture(architecture)).second;
      if (found) drawn.push_back(std::move(architecture));
    }
    if (!found)
      throw BadRequest("parameters", "no student of " + std::to_string(layers) + " layers has this size",
                       std::to_string(wanted.parameters), "another size, or other widths and depths");
  }
  return drawn;
}

}  // namespace thimble::search
