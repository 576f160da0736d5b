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

template <typename Message>
Message AnotherOf(const std::vector<Message>& values, const Message& current, Random* random) {
  std::vector<std::string> bytes;
  for (const auto& value : values) bytes.push_back(value.SerializeAsString());
  const std::string other = Another(bytes, current.SerializeAsString(), random);
  return values[std::find(bytes.begin(), bytes.end(), other) - bytes.begin()];
}

// The place of the first that `is`.
template <typename T, typename Is>
std::optional<size_t> Place(const std::vector<T>& values, const Is& is) {
  const auto found = std::find_if(values.begin(), values.end(), is);
  return found == values.end() ? std::nullopt : std::optional<size_t>(found - values.begin());
}

}  // namespace

void LayerPlan::ListOptions() {
  for (size_t mixer = 0; mixer < mixers.size(); ++mixer)
    for (size_t stack = 0; stack < stacks.size(); ++stack)
      for (size_t each = 0; each < inner.size(); ++each) {
        const bool repeats = stack > 0 && inner[each].has_none();
        places.push_back(repeats ? places[places.size() - stack * inner.size()] : static_cast<int>(options.size()));
        if (!repeats) options.push_back({mixer, stack, each});
      }
}

std::optional<size_t> LayerPlan::Option(const proto::Layer& layer) const {
  const auto& ffn = layer.ffn();
  if (!ffn.has_expression() && !ffn.has_none()) return std::nullopt;
  const std::string mixed = layer.mixer().SerializeAsString();
  const auto mixer = Place(mixers, [&](const proto::Mixer& each) { return each.SerializeAsString() == mixed; });
  const auto stack = ffn.has_none() ? 0 : Place(stacks, [&](int each) { return each == ffn.stacks(); });
  const auto width = Place(inner, [&](const proto::FeedForward& each) {
    return each.has_none() == ffn.has_none() && each.width() == ffn.width() && each.ratio() == ffn.ratio();
  });
  if (!mixer || !stack || !width) return std::nullopt;
  return places[(*mixer * stacks.size() + *stack) * inner.size() + *width];
}

proto::Architecture StageSpace::Plan::WithOptions(const std::vector<int>& options) const {
  proto::Architecture result = base;
  for (size_t i = 0; i < options.size(); ++i) {
    const LayerPlan& plan = layers[i];
    const auto& [mixer, stacks, inner] = plan.options[options[i]];
    auto* layer = result.mutable_layer(static_cast<int>(i));
    *layer->mutable_mixer() = plan.mixers[mixer];
    if (plan.inner.size() > 1 || plan.stacks.size() > 1)
      *layer->mutable_ffn() = MakeFeedForward(
          plan.inner[inner], plan.stacks[stacks],
          layer->ffn().has_expression() ? layer->ffn().expression() : plan.base.ToString());
  }
  return result;
}

std::optional<proto::Architecture> StageSpace::Sample(Random* random) const {
  proto::Architecture result = plan_->WithOptions(plan_->points->Draw(random));
  for (size_t i = 0; i < plan_->layers.size(); ++i) {
    const LayerPlan& layer = plan_->layers[i];
    auto* ffn = result.mutable_layer(static_cast<int>(i))->mutable_ffn();
    if (!layer.expressions || ffn->has_none()) continue;
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
      const bool nothing = ffn->has_none();
      if (nothing && (what == proto::Stage::STACKS || what == proto::Stage::EXPRESSION)) {
        continue;  // of no block
      } else if (what == proto::Stage::STACKS) {
        ffn->set_stacks(Another(layer.stacks, ffn->stacks(), random));
      } else if (what == proto::Stage::RATIO) {
        *ffn = MakeFeedForward(AnotherOf(layer.inner, InnerOf(*ffn), random), ffn->stacks(),
                               nothing ? layer.base.ToString() : ffn->expression());
      } else if (what == proto::Stage::MIXER) {
        auto* mixer = result.mutable_layer(at)->mutable_mixer();
        *mixer = AnotherOf(layer.mixers, *mixer, random);
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
