#include "distill/start/mixer_cut.h"

namespace thimble::distill {

proto::Mixer AttentionOf(const Heads& heads) {
  proto::Mixer mixer;
  mixer.mutable_self_attention()->set_heads(static_cast<int>(heads.count));
  mixer.mutable_self_attention()->set_head_width(static_cast<int>(heads.width));
  return mixer;
}

namespace cuts {

MixerCut self_attention() {
  return {.cut = [](const MixerCutInput& in) { CutHeads(in, HeadsOf(in.student.shape, in.mixer)); },
          .heads = HeadsOf};
}

}  // namespace cuts
}  // namespace thimble::distill
