// Private to start/: rows of a sample, packed. [N, h] holds the real tokens one after another, padding left
// out.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "models/model.h"

namespace thimble::distill {

// Rows of a sample in batches of like length.
struct Rows {
  std::vector<models::Batch> batches;
  std::vector<at::Tensor> places;  // of each batch: its real tokens as indices into B * T, [n] int64
  int64_t tokens = 0;
};

struct Split {
  Rows kept;               // rows spread evenly over the lengths, about `tokens` tokens
  std::vector<Rows> rest;  // the others, in groups small enough to compute at once
};
Split SplitRows(const std::vector<models::Batch>& batches, int64_t tokens);

at::Tensor PackedEmbeddingInput(const models::Model& model, const Rows& rows);  // [N, 3E] or [N, h]
at::Tensor PackedEmbeddingSum(const models::Model& model, const Rows& rows);    // [N, h]
// Of each batch [B, T, c], zeros where padding is, of x [N, c].
std::vector<at::Tensor> Padded(const Rows& rows, const at::Tensor& x);
// [N, c]; undefined of a mixer that makes no context.
at::Tensor PackedContext(const models::Model& model, int layer, const proto::Mixer& mixer, const Rows& rows,
                         const at::Tensor& x);

}  // namespace thimble::distill
