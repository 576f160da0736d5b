// Queries, keys, values and output as the teacher's. A softmax has moved values by other shares: learnt
// features are fitted to them, and the output linear to what the layer then does.
#include <ATen/ATen.h>

#include "distill/start/heads.h"
#include "distill/start/mixer_cut.h"
#include "proto/architecture.pb.h"

namespace thimble::distill::cuts {
namespace {

constexpr const char* kFeatures[] = {"features.query.weight", "features.key.weight"};

Heads Count(const models::ResolvedArchitecture& shape, const proto::Mixer& mixer) {
  const int heads = mixer.linear_attention().heads();
  return {heads > 0 ? heads : shape.heads, shape.block_width() / shape.heads};
}

}  // namespace

MixerCut linear_attention() {
  return {
      .cut =
          [](const MixerCutInput& in) {
            const Heads heads = Count(in.student.shape, in.mixer);
            CutHeads(in, heads);
            // Features begin as the channels themselves, before they are fitted.
            for (const char* part : kFeatures) {
              if (!in.student.weights.Has(in.scope + part)) continue;
              at::Tensor& features = in.student.weights.at(in.scope + part);  // [heads size, head width]
              features.copy_(at::eye(features.size(0) / heads.count, heads.width).repeat({heads.count, 1}));
            }
          },
      .heads = Count,
      .kernel = {std::begin(kFeatures), std::end(kFeatures)}};
}

}  // namespace thimble::distill::cuts
