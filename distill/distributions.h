// Distributions and their divergences, for the losses that compare them.
#pragma once
#include <ATen/core/Tensor.h>

#include "distill/loss.h"
#include "proto/objective.pb.h"

namespace thimble::distill {

// Logarithm of the softmax over the last dimension, where `allowed` (0: not; broadcast to the logits) says
// what may get a share at all. What may not gets a finite great negative number.
at::Tensor LogShares(const at::Tensor& logits, const at::Tensor& allowed);

// What a divergence from the teacher's distribution to the student's adds up, in the shape of the two, which
// are logarithms of shares. AVERAGED_CROSS_ENTROPY is not averaged here.
at::Tensor DivergenceTerms(const at::Tensor& log_student, const at::Tensor& log_teacher,
                           proto::Divergence divergence);

// Sum over real queries and all heads of the divergence from the teacher's shares to the student's; both are
// logits [B, H, T, T], mask [B, T] as in Batch. Count: of real queries and heads. The teacher gets no
// gradient.
LossSum AttentionDivergence(const at::Tensor& student, const at::Tensor& teacher, const at::Tensor& mask,
                            proto::Divergence divergence);

}  // namespace thimble::distill
