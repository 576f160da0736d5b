#include "distill/start/mixer_cut.h"
#include "models/encoder/resolve.h"

namespace thimble::distill::cuts {
namespace {

Heads Count(const proto::Mixer& mixer, const models::Shape& shape) {
  const models::MixerSize size = models::SizeOf(shape, mixer);
  return {size.scores, size.context / size.scores};
}

}  // namespace

MixerCut self_attention() {
  return {.cut = [](const MixerCutInput& in) { CutHeads(in, Count(in.mixer, in.student.shape)); }, .heads = Count};
}

}  // namespace thimble::distill::cuts
