// Divergences between distributions over tokens, of which padding is no part.
#pragma once
#include <ATen/core/Tensor.h>

#include "distill/objective.h"
#include "proto/objective.pb.h"

namespace thimble::distill {

// What the softmax of `logits` [B, H, T, T] gives each real key, as logarithms; mask [B, T] as in Batch.
at::Tensor LogShares(const at::Tensor& logits, const at::Tensor& mask);

// Sum over real queries and all heads of the divergence from the teacher's shares to the student's; both are
// logits [B, H, T, T]. Count: of real queries and heads. The teacher gets no gradient.
LossSum AttentionDivergence(const at::Tensor& student, const at::Tensor& teacher, const at::Tensor& mask,
                            proto::Divergence divergence);

}  // namespace thimble::distill
