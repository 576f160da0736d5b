#include "distill/start/mixer_cut.h"

#include <vector>

#include "models/encoder/kinds.h"

namespace thimble::distill {

namespace cuts {
#define MIXER_CUT(name) MixerCut name();
#include "distill/start/cuts.inc"
#undef MIXER_CUT
}  // namespace cuts

const MixerCut* CutOf(const proto::Mixer& mixer) {
  static const std::vector<MixerCut> all = [] {
    std::vector<MixerCut> list;
#define MIXER_CUT(kind)         \
  list.push_back(cuts::kind()); \
  list.back().name = #kind;
#include "distill/start/cuts.inc"
#undef MIXER_CUT
    return list;
  }();
  for (const MixerCut& cut : all)
    if (cut.name == models::EntryOf(mixer).name) return &cut;
  return nullptr;
}

}  // namespace thimble::distill
