// Random points of a stage and random steps between them.
#include <algorithm>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "models/encoder/kinds.h"
#include "search/space.h"
#include "search/space_plan.h"

namespace thimble::search {
namespace {

constexpr int kTries = 200;
constexpr int kMostChanges = 3;

// Another value than `current` from a list of at least two.
template <typename T>
T Another(const std::vector<T>& values, const T& current, Random* random) {
  std::vector<T> others;
  std::copy_if(values.begin(), values.end(), std::back_inserter(others),
               [&](const T& v) { return v != current; });
  return others[random->Below(others.size())];
}

proto::Mixer AnotherMixer(const std::vector<proto::Mixer>& mixers, const proto::Mixer& current, Random* random) {
  std::vector<std::string> texts;
  for (const auto& mixer : mixers) texts.push_back(models::TextOf(mixer));
  const std::string other = Another(texts, models::TextOf(current), random);
  return mixers[std::find(texts.begin(), texts.end(), other) - texts.begin()];
}

}  // namespace

proto::Architecture StageSpace::Plan::WithOptions(const std::vector<int>& options) const {
  proto::Architecture result = base;
  for (size_t i = 0; i < options.size(); ++i) {
    const auto& [mixers, stacks, ratio, expression, sampler] = layers[i];
    auto* layer = result.mutable_layer(static_cast<int>(i));
    const size_t stack = options[i] / ratio.size();
    *layer->mutable_mixer() = mixers[stack / stacks.size()];
    layer->mutable_ffn()->set_stacks(stacks[stack % stacks.size()]);
    layer->mutable_ffn()->set_ratio(ratio[options[i] % ratio.size()]);
  }
  return result;
}

std::optional<proto::Architecture> StageSpace::Sample(Random* random) const {
  proto::Architecture result = plan_->WithOptions(plan_->points->Draw(random));
  for (size_t i = 0; i < plan_->layers.size(); ++i) {
    const LayerPlan& layer = plan_->layers[i];
    if (!layer.expressions) continue;
    auto* ffn = result.mutable_layer(static_cast<int>(i))->mutable_ffn();
    ffn->set_expression(layer.expressions->Propose(layer.base, random).ToString());
  }
  return result;
}

std::optional<proto::Architecture> StageSpace::Mutate(const proto::Architecture& from, Random* random) const {
  const auto& fields = plan_->fields;
  if (fields.empty()) return std::nullopt;
  const std::string before = models::CanonicalArchitecture(from);
  for (int i = 0; i < kTries; ++i) {
    proto::Architecture result = from;
    for (uint64_t changes = 1 + random->Below(kMostChanges); changes > 0; --changes) {
      const auto& [at, what] = fields[random->Below(fields.size())];
      const LayerPlan& layer = plan_->layers[at];
      auto* ffn = result.mutable_layer(at)->mutable_ffn();
      if (what == proto::Stage::STACKS) {
        ffn->set_stacks(Another(layer.stacks, ffn->stacks(), random));
      } else if (what == proto::Stage::RATIO) {
        ffn->set_ratio(Another(layer.ratio, ffn->ratio(), random));
      } else if (what == proto::Stage::MIXER) {
        auto* mixer = result.mutable_layer(at)->mutable_mixer();
        *mixer = AnotherMixer(layer.mixers, *mixer, random);
      } else if (const auto next =
                     layer.expressions->Mutate(models::Expression::Parse(ffn->expression()), random)) {
        ffn->set_expression(next->ToString());
      }
    }
    if (Feasible(result) && models::CanonicalArchitecture(result) != before) return result;
  }
  return std::nullopt;
}

std::optional<proto::Architecture> StageSpace::Crossover(const proto::Architecture& a,
                                                         const proto::Architecture& b, Random* random) const {
  THIMBLE_CHECK(a.layer_size() == b.layer_size(),
                std::to_string(a.layer_size()) + ", " + std::to_string(b.layer_size()));
  const std::string before_a = models::CanonicalArchitecture(a), before_b = models::CanonicalArchitecture(b);
  if (before_a == before_b) return std::nullopt;
  for (int i = 0; i < kTries; ++i) {
    proto::Architecture result = a;
    for (int layer = 0; layer < a.layer_size(); ++layer)
      if (random->Chance(0.5)) *result.mutable_layer(layer) = b.layer(layer);
    if (!Feasible(result)) continue;
    const std::string canonical = models::CanonicalArchitecture(result);
    if (canonical != before_a && canonical != before_b) return result;
  }
  return std::nullopt;
}

double StageSpace::Points() const { return varies(proto::Stage::EXPRESSION) ? 0 : plan_->points->feasible(); }

proto::Architecture StageSpace::Point(double index) const {
  THIMBLE_CHECK(index >= 0 && index < Points(), std::to_string(index));
  return plan_->WithOptions(plan_->points->Point(index));
}

}  // namespace thimble::search
