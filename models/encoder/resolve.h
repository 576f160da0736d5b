// From an Architecture (proto/architecture.proto) to a ResolvedArchitecture, checked: what is wrong is said
// before work starts.
#pragma once
#include <string>
#include <vector>

#include "models/arch/architecture.h"

namespace thimble::models {

// Error (with `where`) if heads do not divide the width at which layers work, a ratio is not "1" or "1/N", a
// kind refuses its fields (an expression that is invalid or whose widths do not fit), or there is no layer.
ResolvedArchitecture Resolve(const proto::Architecture& architecture,
                             const std::string& where = "architecture");

class Trace;
struct WeightShape;
class Value;
// A mixer alone, with its output linear, residual and norm. Returns the context; nothing where it makes none.
Value TraceMixer(const ResolvedArchitecture& shape, int index, const proto::Mixer& mixer, Trace* trace);

// Its weights, those of layer `index`.
std::vector<WeightShape> MixerWeights(const ResolvedArchitecture& shape, int index,
                                      const proto::Mixer& mixer);

// What a mixer makes, by its trace.
struct MixerSize {
  int context = 0;           // channels that the layer's output linear reads; 0: there is none
  int heads = 0;             // maps of attention logits, one each
  int kernel_heads = 0;      // maps of a kernel's logarithm, one each (Outputs::kernel_logits)
  bool projections = false;  // queries, keys and values of `context` channels each
};
MixerSize SizeOf(const ResolvedArchitecture& shape, const proto::Mixer& mixer);

}  // namespace thimble::models
