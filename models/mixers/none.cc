// Nothing: what is left of a layer's attention where all heads are cut away, and the control of every mixer.
#include "base/error.h"
#include "models/encoder/kinds.h"

namespace thimble::models::mixers {
namespace {

void Check(const proto::Mixer&, const Shape& shape, const std::string& where) {
  if (shape.share_query_key)
    throw BadRequest(where, "nobody would read the linear that queries and keys share", "share_query_key: true",
                     "another mixer, or a bottleneck that shares nothing");
}

constexpr char kPython[] = R"py(class NoMixer(Mixer):
    def __init__(self, config, spec):
        super().__init__(config, 0)  # no output linear either

    def mix(self, query_key, value, mask):
        return None
)py";

}  // namespace

MixerEntry none() {
  return {.mix = [](const proto::Mixer&, MixerInput, Ops&) { return Value(); }, .check = Check, .python = kPython};
}

}  // namespace thimble::models::mixers
