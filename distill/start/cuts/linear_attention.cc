// Queries, keys, values and output as the teacher's, which a softmax has moved by other shares: what the
// output linear then fits is up to the refit.
#include <ATen/ATen.h>

#include "distill/start/heads.h"
#include "distill/start/mixer_cut.h"
#include "proto/architecture.pb.h"

namespace thimble::distill::cuts {
namespace {

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
            // Features begin as the channels themselves.
            for (const char* part : {"features.query.weight", "features.key.weight"}) {
              if (!in.student.weights.Has(in.scope + part)) continue;
              at::Tensor& features = in.student.weights.at(in.scope + part);  // [heads size, head width]
              features.copy_(at::eye(features.size(0) / heads.count, heads.width).repeat({heads.count, 1}));
            }
          },
      .heads = Count};
}

}  // namespace thimble::distill::cuts
