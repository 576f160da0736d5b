// Several blocks of a kind in the place of one: routed, each token to one of them (MiniMoE, Zhang et al., ACL
// 2023), or merged, the sum of their weights (MEO, He et al., EMNLP 2023). Their weights are expert.N.*.
#pragma once
#include <string>

#include "models/arch/architecture.h"
#include "models/encoder/ops.h"

namespace thimble::models {

// f(x) of one stacked block: of its kind, or of its experts. Nothing of a kind that has no block.
Value RunBlocks(const LayerShape& layer, int outer, const Value& x, Ops& ops);

// Of routed experts one alone, of the tokens x that go to it.
Value RunExpert(const LayerShape& layer, int expert, int outer, const Value& x, Ops& ops);

// How many blocks there are in the place of one; 1 without experts.
int Experts(const proto::FeedForward& ffn);

// Whether f(x) of a token depends on the row's others.
bool ReadsOtherTokens(const proto::FeedForward& ffn);

// Throws as MixerEntry::check where experts, and the rest of the block, do not go together.
void CheckExperts(const proto::FeedForward& ffn, int outer, int width, const std::string& where);

// Their classes in modeling_thimble.py, over blocks of any kind: Routed, Merged.
extern const char kRoutedPython[];
extern const char kMergedPython[];

}  // namespace thimble::models
