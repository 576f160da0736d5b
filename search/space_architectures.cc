// The largest and the first architecture of a section.
#include <algorithm>
#include <set>

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

// Of each kind of mixer, and of each set of weights that its options have, the one with the widest context,
// the first of that width. The first kind comes first, those that make no context last: what follows them in
// a supernet would be fitted to less than candidates have.
std::vector<proto::Mixer> LargestMixers(const proto::LayerSpace& options, const proto::Space& space) {
  const models::ResolvedArchitecture shape = MixerShape(space);
  std::vector<proto::Mixer> largest;
  for (const proto::Mixer& mixer : options.mixer()) {
    const auto same = std::find_if(largest.begin(), largest.end(), [&](const proto::Mixer& known) {
      return known.kind_case() == mixer.kind_case() && Names(shape, known) == Names(shape, mixer);
    });
    if (same == largest.end()) {
      largest.push_back(mixer);
    } else if (models::SizeOf(shape, mixer).context > models::SizeOf(shape, *same).context) {
      *same = mixer;
    }
  }
  std::stable_partition(largest.begin(), largest.end(),
                        [&](const proto::Mixer& mixer) { return models::SizeOf(shape, mixer).context > 0; });
  return largest;
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
    const auto narrower = [&](const auto& a, const auto& b) {
      return models::InnerWidth(a, FfnHidden(space)) < models::InnerWidth(b, FfnHidden(space));
    };
    *layer->mutable_ffn() =
        MakeFeedForward(largest ? *std::max_element(inner.begin(), inner.end(), narrower) : inner[0],
                        largest ? *std::max_element(ffn.stacks().begin(), ffn.stacks().end()) : ffn.stacks(0),
                        ffn.expression().seed());
  }
  return architecture;
}

}  // namespace

proto::Architecture LargestArchitecture(const proto::Space& space, const SpaceContext& context) {
  return Build(Sections(space).front(), context, /*largest=*/true);
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
