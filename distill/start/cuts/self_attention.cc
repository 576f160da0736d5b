#include "distill/start/mixer_cut.h"

namespace thimble::distill::cuts {

MixerCut self_attention() {
  return {.cut = [](const MixerCutInput& in) { CutHeads(in, HeadsOf(in.student.shape, in.mixer)); },
          .heads = HeadsOf};
}

}  // namespace thimble::distill::cuts
