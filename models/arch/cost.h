// What an architecture costs, by formula: constraints hold before a model exists. Tests compare with counted
// tensors.
#pragma once
#include <cstdint>

#include "models/arch/architecture.h"
#include "models/arch/head.h"

namespace thimble::models {

// What is exported: embedding, encoder, pooler and a head of `classes` outputs (0: neither pooler nor head).
// A head on tokens has no pooler.
int64_t DeployedParameters(const Shape& shape, int classes, Head head = Head::kPooled);
// SYSTEMS A6: embedding, encoder and the training-only projection hidden -> teacher_hidden; no pooler, no
// head.
int64_t PaperParameters(const Shape& shape, int teacher_hidden);

// The two sums' terms, for describe and for counting points of a space.
int64_t EmbeddingParameters(const Shape& shape);   // tables, projection, LayerNorm
int64_t AttentionParameters(const Shape& shape);   // one layer, its LayerNorm included
int64_t BottleneckParameters(const Shape& shape);  // one layer's linears around its blocks, with their norms
// Blocks that read and return `outer` channels (Shape::block_width).
int64_t FeedForwardParameters(int outer, int width, int stacks);

// Multiply-adds of one sequence of `length` tokens: linears, QK, PV and the embedding's projection; no
// pooler, no head. FLOPs as published = 2 x this.
int64_t MultiplyAdds(const Shape& shape, int length);

}  // namespace thimble::models
