// The largest and the first architecture of a section.
#include <algorithm>
#include <functional>
#include <numeric>
#include <set>

#include "base/config.h"
#include "models/arch/architecture.h"
#include "models/encoder/resolve.h"
#include "models/encoder/trace.h"
#include "search/space.h"
#include "search/space_plan.h"

namespace thimble::search {
namespace {

// Of its weights: mixers of one kind may have others beside those that they share.
std::vector<std::string> Names(const models::ResolvedArchitecture& shape, const proto::Mixer& mixer) {
  std::vector<std::string> names;
  for (const auto& weight : models::MixerWeights(shape, 0, mixer)) names.push_back(weight.name);
  return names;
}

int64_t Elements(const models::ResolvedArchitecture& shape, const proto::Mixer& mixer) {
  int64_t sum = 0;
  for (const auto& weight : models::MixerWeights(shape, 0, mixer))
    sum += std::accumulate(weight.sizes.begin(), weight.sizes.end(), int64_t{1}, std::multiplies<>());
  return sum;
}

// Of each kind of mixer, and of each set of weights that its options have, the one with the widest context,
// of these the one with the longest kernels, the first of that size. The first kind comes first, those that
// make no context last: what follows them in a supernet would be fitted to less than candidates have.
std::vector<proto::Mixer> LargestMixers(const proto::LayerSpace& options, const proto::Space& space) {
  const models::ResolvedArchitecture shape = MixerShape(space);
  std::vector<proto::Mixer> largest;
  const auto size = [&](const proto::Mixer& mixer) {
    return std::pair(models::SizeOf(shape, mixer).context, Elements(shape, mixer));
  };
  for (const proto::Mixer& mixer : options.mixer()) {
    const auto same = std::find_if(largest.begin(), largest.end(), [&](const proto::Mixer& known) {
      return known.kind_case() == mixer.kind_case() && Names(shape, known) == Names(shape, mixer);
    });
    if (same == largest.end()) {
      largest.push_back(mixer);
    } else if (size(mixer) > size(*same)) {
      *same = mixer;
    }
  }
  std::stable_partition(largest.begin(), largest.end(),
                        [&](const proto::Mixer& mixer) { return models::SizeOf(shape, mixer).context > 0; });
  return largest;
}

// A dense block of as many neurons as any of the choices has, or its experts have between them and what they
// share.
proto::FeedForward LargestInner(const std::vector<proto::FeedForward>& choices, int ffn_hidden) {
  const auto neurons = [&](const proto::FeedForward& inner) {
    return models::InnerWidth(inner, ffn_hidden) + inner.routed().shared();
  };
  const proto::FeedForward& widest = *std::max_element(
      choices.begin(), choices.end(), [&](const auto& a, const auto& b) { return neurons(a) < neurons(b); });
  proto::FeedForward dense;
  if (widest.has_none())
    dense.mutable_none();
  else if (widest.width() > 0 || widest.routed().shared() > 0)
    dense.set_width(neurons(widest));
  else
    dense.set_ratio(widest.ratio());
  return dense;
}

proto::Architecture Build(const proto::Space& space, const SpaceContext& context, bool largest) {
  proto::Architecture architecture;
  architecture.set_vocabulary(space.vocabulary());
  architecture.set_positions(space.positions());
  architecture.set_segments(space.segments());
  if (!space.position_table()) architecture.set_position_table(false);
  architecture.set_hidden(space.hidden(0));
  architecture.set_heads(HeadsOf(space));
  architecture.set_ffn_hidden(FfnHidden(space));
  architecture.set_pooler(space.pooler() > 0           ? space.pooler()
                          : context.teacher_hidden > 0 ? context.teacher_hidden
                                                       : space.hidden(0));
  architecture.set_layer_norm_epsilon(space.layer_norm_epsilon());
  *architecture.mutable_embedding() = space.embedding(0);
  for (const proto::LayerSpace& options : LayersOf(space)) {
    auto* layer = architecture.add_layer();
    *layer->mutable_mixer() = options.mixer(0);
    if (largest) {
      const auto mixers = LargestMixers(options, space);
      *layer->mutable_mixer() = mixers[0];
      layer->mutable_beside()->Assign(mixers.begin() + 1, mixers.end());
    }
    const auto& ffn = options.ffn();
    const auto inner = InnerChoices(ffn);
    const int stacks = largest ? *std::max_element(ffn.stacks().begin(), ffn.stacks().end()) : ffn.stacks(0);
    *layer->mutable_ffn() = MakeFeedForward(largest ? LargestInner(inner, FfnHidden(space)) : inner[0],
                                            stacks, ffn.expression().seed());
  }
  return architecture;
}

}  // namespace

proto::Architecture LargestArchitecture(const proto::Space& space, const SpaceContext& context) {
  return Build(Sections(space).front(), context, /*largest=*/true);
}

bool HasForms(const proto::Space& space) {
  const auto layers = LayersOf(space);
  return std::any_of(layers.begin(), layers.end(), [](const proto::LayerSpace& layer) {
    const auto& forms = layer.ffn().form();
    return std::any_of(forms.begin(), forms.end(),
                       [](const proto::BlockForm& form) { return !CanonicalText(form).empty(); });
  });
}

bool ChoosesHeads(const proto::Space& space) {
  const models::ResolvedArchitecture shape = MixerShape(space);
  const auto layers = LayersOf(space);
  return std::any_of(layers.begin(), layers.end(), [&](const proto::LayerSpace& layer) {
    std::set<int> heads;
    for (const proto::Mixer& mixer : layer.mixer())
      if (const int count = models::SizeOf(shape, mixer).heads; count > 0) heads.insert(count);
    return heads.size() > 1;
  });
}

proto::Architecture SeedArchitecture(const proto::Space& space, const SpaceContext& context) {
  return Build(Sections(space).front(), context, /*largest=*/false);
}

}  // namespace thimble::search
