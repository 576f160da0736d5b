// Nothing: what is left of a layer's attention where all heads are cut away, and the control of every mixer.
#include "models/encoder/kinds.h"

namespace thimble::models::mixers {
namespace {

constexpr char kPython[] = R"py(class NoMixer(Mixer):
    def __init__(self, config, spec):
        super().__init__(config, 0)  # no output linear either

    def mix(self, query_key, value, mask):
        return None
)py";

}  // namespace

MixerEntry none() {
  return {.mix = [](const proto::Mixer&, MixerInput, Ops&) { return Value(); },
          .check = RefuseSharedQueryKey,
          .python = kPython};
}

}  // namespace thimble::models::mixers
