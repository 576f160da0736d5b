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

// Of hidden width, number of layers and embedding.
bool DiffersInOne(const proto::Architecture& a, const proto::Architecture& b, proto::Stage::Vary what) {
  const auto same = [&](proto::Stage::Vary each, bool equal) { return equal != (each == what); };
  return same(proto::Stage::HIDDEN, a.hidden() == b.hidden()) &&
         same(proto::Stage::LAYERS, a.layer_size() == b.layer_size()) &&
         same(proto::Stage::EMBEDDING, SameEmbedding(a.embedding(), b.embedding()));
}

}  // namespace

void LayerPlan::ListBlocks() {
  for (size_t stack = 0; stack < stacks.size(); ++stack)
    for (const auto& each : inner)
      if (stack == 0 || !each.has_none()) blocks.push_back({stacks[stack], each});
}

std::optional<size_t> LayerPlan::MixerOf(const proto::Layer& layer) const {
  const std::string mixed = layer.mixer().SerializeAsString();
  return Place(mixers, [&](const proto::Mixer& each) { return each.SerializeAsString() == mixed; });
}

std::optional<size_t> LayerPlan::BlockOf(const proto::Layer& layer) const {
  const auto& ffn = layer.ffn();
  if (!InASpace(ffn)) return std::nullopt;
  return Place(blocks, [&](const Block& each) {
    return SameSize(each.inner, ffn) &&
           (ffn.has_none() || (each.stacks == ffn.stacks() && models::SameForm(each.inner, ffn)));
  });
}

proto::Architecture SectionPlan::With(const std::vector<int>& choices) const {
  proto::Architecture result = base;
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerPlan& plan = layers[i];
    auto* layer = result.mutable_layer(static_cast<int>(i));
    *layer->mutable_mixer() = plan.mixers[choices[2 * i]];
    const auto& [stacks, inner] = plan.blocks[choices[2 * i + 1]];
    if (plan.blocks.size() > 1)
      *layer->mutable_ffn() = MakeFeedForward(
          inner, stacks, layer->ffn().has_expression() ? layer->ffn().expression() : plan.base.ToString());
  }
  return result;
}

proto::Architecture SectionPlan::At(double index) const {
  return points ? With(points->Point(index)) : listed.at(static_cast<size_t>(index));
}

proto::Architecture Moved(const proto::Architecture& from, const SectionPlan& to) {
  proto::Architecture result = to.base;
  for (int i = 0; i < result.layer_size(); ++i) {
    const auto& like = from.layer(i * from.layer_size() / result.layer_size());
    auto* layer = result.mutable_layer(i);
    const LayerPlan& plan = to.layers[i];
    // Heads of another hidden width may say their own: as many of the same kind.
    const auto same = [&](const proto::Mixer& each) {
      if (each.kind_case() != like.mixer().kind_case()) return false;
      if (!each.has_self_attention()) return true;
      proto::SelfAttention ours = each.self_attention(), theirs = like.mixer().self_attention();
      ours.clear_head_width();
      theirs.clear_head_width();
      return ours.SerializeAsString() == theirs.SerializeAsString();
    };
    if (const auto mixer = plan.MixerOf(like))
      *layer->mutable_mixer() = plan.mixers[*mixer];
    else if (const auto other = Place(plan.mixers, same))
      *layer->mutable_mixer() = plan.mixers[*other];
    if (plan.BlockOf(like)) *layer->mutable_ffn() = like.ffn();
  }
  return result;
}

std::optional<proto::Architecture> StageSpace::Sample(Random* random) const {
  double sum = 0;
  for (const auto& section : plan_->sections) sum += section.Points();
  for (int i = 0; i < kTries; ++i) {
    const SectionPlan* section = &plan_->sections.front();
    if (plan_->sections.size() > 1) {
      double place = random->Uniform() * sum;
      for (const auto& each : plan_->sections) {
        section = &each;
        place -= each.Points();
        if (place < 0) break;
      }
    }
    proto::Architecture result = section->points ? section->With(section->points->Draw(random))
                                                 : section->listed[random->Below(section->listed.size())];
    for (size_t layer = 0; layer < section->layers.size(); ++layer) {
      const LayerPlan& plan = section->layers[layer];
      auto* ffn = result.mutable_layer(static_cast<int>(layer))->mutable_ffn();
      if (!plan.expressions || !ffn->has_expression() || plan_->list) continue;
      ffn->set_expression(plan.expressions->Propose(plan.base, random).ToString());
    }
    if (Feasible(result)) return result;
  }
  return std::nullopt;
}

std::optional<proto::Architecture> StageSpace::Mutate(const proto::Architecture& from, Random* random) const {
  if (plan_->list) return plan_->list->Near(from, {from}, random->Below(kMostChanges), random);
  const std::string before = models::CanonicalArchitecture(from);
  for (int i = 0; i < kTries; ++i) {
    proto::Architecture result = from;
    for (uint64_t changes = 1 + random->Below(kMostChanges); changes > 0; --changes) {
      const SectionPlan* section = plan_->Find(result);
      if (section == nullptr) return std::nullopt;
      const size_t fields = section->fields.size() + plan_->global.size();
      if (fields == 0) return std::nullopt;
      const size_t field = random->Below(fields);
      if (field >= section->fields.size()) {
        // Another section that differs in this alone.
        const auto what = plan_->global[field - section->fields.size()];
        std::vector<const SectionPlan*> others;
        for (const auto& each : plan_->sections)
          if (&each != section && DiffersInOne(each.base, section->base, what)) others.push_back(&each);
        if (!others.empty()) result = Moved(result, *others[random->Below(others.size())]);
        continue;
      }
      const auto& [at, what] = section->fields[field];
      const LayerPlan& layer = section->layers[at];
      auto* ffn = result.mutable_layer(at)->mutable_ffn();
      if ((what == proto::Stage::STACKS && ffn->has_none()) ||
          (what == proto::Stage::EXPRESSION && !ffn->has_expression())) {
        continue;  // there is none
      } else if (what == proto::Stage::STACKS) {
        ffn->set_stacks(Another(layer.stacks, ffn->stacks(), random));
      } else if (what == proto::Stage::RATIO || what == proto::Stage::FORM) {
        // A size that is none has no form.
        std::vector<proto::FeedForward> others;
        for (const auto& inner : layer.inner) {
          const bool size = SameSize(inner, *ffn), none = inner.has_none() || ffn->has_none();
          const bool form = none || models::SameForm(inner, *ffn);
          if (what == proto::Stage::RATIO ? !size && form : size && !form) others.push_back(inner);
        }
        if (others.empty()) continue;
        *ffn = MakeFeedForward(others[random->Below(others.size())], ffn->stacks(),
                               ffn->has_expression() ? ffn->expression() : layer.base.ToString());
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
  if (plan_->Find(a) != plan_->Find(b)) return std::nullopt;
  const std::string before_a = models::CanonicalArchitecture(a), before_b = models::CanonicalArchitecture(b);
  if (before_a == before_b) return std::nullopt;
  for (int i = 0; i < kTries; ++i) {
    proto::Architecture result = a;
    for (int layer = 0; layer < a.layer_size(); ++layer)
      if (random->Chance(0.5)) *result.mutable_layer(layer) = b.layer(layer);
    if (plan_->list) return plan_->list->Near(result, {a, b}, 0, random);
    if (!Feasible(result)) continue;
    const std::string canonical = models::CanonicalArchitecture(result);
    if (canonical != before_a && canonical != before_b) return result;
  }
  return std::nullopt;
}

std::optional<proto::Architecture> StageSpace::Nearest(const proto::Architecture& wanted,
                                                       Random* random) const {
  if (Feasible(wanted)) return wanted;
  return plan_->list ? plan_->list->Near(wanted, {}, 0, random) : std::nullopt;
}

double StageSpace::Points() const {
  if (varies(proto::Stage::EXPRESSION) && !plan_->list) return 0;
  double sum = 0;
  for (const auto& section : plan_->sections) sum += section.Points();
  return sum;
}

proto::Architecture StageSpace::Point(double index) const {
  THIMBLE_CHECK(index >= 0 && index < Points(), std::to_string(index));
  for (const auto& section : plan_->sections) {
    if (index < section.Points()) return section.At(index);
    index -= section.Points();
  }
  THIMBLE_CHECK(false, "no such point");
  return {};
}

}  // namespace thimble::search
