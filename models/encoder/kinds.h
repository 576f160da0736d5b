// What layers are made of: functions over Ops, each kind in a file of its own.
#pragma once
#include "models/arch/architecture.h"
#include "models/encoder/ops.h"

namespace thimble::models {

// How the tokens of a sequence exchange information. A mixer makes a context [B, T, width]; the layer owns
// the linear, the residual and the norm behind it.
struct MixerInput {
  Value query_key;  // [B, T, width]
  Value value;      // likewise; [B, T, hidden] where queries and keys share a linear of a bottleneck
  Value bias;       // Ops::PaddingBias
  int width = 0, heads = 0;
};
Value SelfAttention(MixerInput in, Ops& ops);  // mixers/self_attention.cc

// f(x) of a block y = norm(x + f(x)); x and f(x) are [B, T, outer].
Value ExpressionBlock(const LayerShape& layer, int outer, const Value& x,
                      Ops& ops);  // feed_forwards/expression.cc

// Token vectors at the hidden width, before positions and segments are added: [B, T, hidden].
Value PlainEmbedding(const Shape& shape, Ops& ops);       // embeddings/plain.cc
Value FactorisedEmbedding(const Shape& shape, Ops& ops);  // embeddings/factorised.cc
Value TrigramEmbedding(const Shape& shape, Ops& ops);     // embeddings/trigram.cc

}  // namespace thimble::models
