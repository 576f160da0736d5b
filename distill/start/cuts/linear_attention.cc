// Queries, keys, values and output as the teacher's, which a softmax has moved by other shares: what the output
// linear then fits is up to the refit.
#include "distill/start/mixer_cut.h"
#include "proto/architecture.pb.h"

namespace thimble::distill::cuts {
namespace {

Heads Count(const models::Shape& shape, const proto::Mixer& mixer) {
  const int heads = mixer.linear_attention().heads();
  return {heads > 0 ? heads : shape.heads, shape.block_width() / shape.heads};
}

}  // namespace

MixerCut linear_attention() {
  return {.cut = [](const MixerCutInput& in) { CutHeads(in, Count(in.student.shape, in.mixer)); }, .heads = Count};
}

}  // namespace thimble::distill::cuts
