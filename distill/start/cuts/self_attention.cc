#include <ATen/ATen.h>

#include "distill/start/heads.h"
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
  return {.cut =
              [](const MixerCutInput& in) {
                const Heads heads = HeadsOf(in.student.shape, in.mixer);
                CutHeads(in, heads);
                // A similarity of its own begins as the dot product.
                const std::string own = in.scope + "similarity.weight";
                if (in.student.weights.Has(own))
                  in.student.weights.at(own).copy_(at::eye(heads.width).repeat({heads.count, 1}));
              },
          .heads = HeadsOf};
}

}  // namespace cuts
}  // namespace thimble::distill
