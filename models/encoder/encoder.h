// The one walk through an encoder: post-norm as BERT (Devlin et al., NAACL 2019), with the bottlenecks of
// MobileBERT (Sun et al., ACL 2020, section 3.1) and stacked blocks (Dong et al., EMNLP Findings 2021).
// Everything that looks at an encoder's structure is an interpreter of these functions (encoder/ops.h), or
// listens to one.
#pragma once
#include "models/arch/architecture.h"
#include "models/arch/head.h"
#include "models/encoder/ops.h"

namespace thimble::models {

// [B, T, h], of a narrow embedding as wide as its tables: of all three tables, before the norm. Of the tokens
// alone: what EmbeddingSum begins with.
Value TokenEmbedding(const ResolvedArchitecture& shape, Ops& ops);
Value EmbeddingSum(const ResolvedArchitecture& shape, Ops& ops);
Value Embed(const ResolvedArchitecture& shape, Ops& ops);  // [B, T, h], with norm and dropout

// The parts of a layer, in turn. `index` is the layer's, for names; `layer` its shape, which a view of a
// larger model may have smaller than that. State x is [B, T, h], what parts exchange [B, T,
// ResolvedArchitecture::block_width()].
//
// `read`: of which tokens the layer's state is read behind it. Of the last layer of a model with a pooled
// head it is the first alone: keys and values are of all tokens, everything else is of that one, and the
// same.
struct LayerInput {
  Value key, value;       // of all tokens
  Value query, residual;  // of those that are read. All four are x, unless there is a bottleneck
  Value entered;          // likewise; x, where there is a bottleneck
};
LayerInput EnterLayer(const ResolvedArchitecture& shape, int index, const Value& x, Tokens read, Ops& ops);
// The mixer's context, before its linear; nothing where a mixer makes none. Does not look at in.residual,
// in.entered.
Value Mix(const ResolvedArchitecture& shape, int index, const proto::Mixer& mixer, LayerInput in,
          const Value& bias, Tokens read, Ops& ops);
// Ends a mixer: the linear of its context, with residual and norm.
Value CloseMixer(const ResolvedArchitecture& shape, int index, const proto::Mixer& mixer, Value context,
                 Value residual, Ops& ops);
// "layer.N.attention": before the names of a mixer's weights.
std::string MixerScope(int index, const proto::Mixer& mixer);
// f(x) of one stacked block, before residual and norm, nothing where a block has none; and with them.
Value FeedForward(const ResolvedArchitecture& shape, int index, int stack, const LayerShape& layer,
                  const Value& x, Ops& ops);
Value CloseBlock(int index, int stack, Value value, Value x, Ops& ops);
// What the layer returns, of what entered it and what its last block returned.
Value LeaveLayer(const ResolvedArchitecture& shape, int index, Value entered, Value x, Ops& ops);

// All of them: [B, T, h] to [B, T, h], or [B, 1, h]. `bias`: Ops::PaddingBias.
Value RunLayer(const ResolvedArchitecture& shape, int index, const LayerShape& layer, Value x,
               const Value& bias, Tokens read, Ops& ops);

Value Pool(const ResolvedArchitecture& shape, const Value& x,
           Ops& ops);  // [B, pooler], of the first of x's tokens
// Outputs of the task head of `classes` outputs: [B, classes], on tokens [B, T, classes]. Not of
// TaskHead::kMaskedTokens.
Value RunHead(const ResolvedArchitecture& shape, int classes, TaskHead head, const Value& x, Ops& ops);

constexpr char kPaddingBias[] = "attention_mask";  // its name

// From token ids to the last state: [B, T, h], or of what is read, LastStates, [B, 1, h].
Value Encode(const ResolvedArchitecture& shape, Tokens read, Ops& ops);

}  // namespace thimble::models
