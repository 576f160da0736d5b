// Private to start/: what one pass of the teacher over a sample leaves. D: its width; states are packed
// (sample.h).
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "distill/start/sample.h"

namespace thimble::distill {

// LayerNorms are counted from 0: the embedding's, then of layer l (from 0) the attention's 1 + 2 l and the
// block's 2 + 2 l.
inline int AttentionNorm(int layer) { return 1 + 2 * layer; }
inline int BlockNorm(int layer) { return 2 + 2 * layer; }

// Mean and covariance of a teacher state, float64. The covariance has a small multiple of the identity added.
struct Moments {
  at::Tensor mean;        // [D]
  at::Tensor covariance;  // [D, D]
};

// Which of a teacher's heads and neurons a student keeps: by teacher layer, the most useful first, [H] and
// [m] int64.
struct Orders {
  std::vector<at::Tensor> heads, neurons;
};

// What one pass of the teacher over the sample leaves.
struct TeacherRecord {
  Rows fit, held_out;
  std::vector<at::Tensor> fit_sums, held_out_sums;  // what each LayerNorm receives, [N, D] float32
  std::vector<Moments> states;                      // what each LayerNorm returns
  at::Tensor directions;  // [D, D] float64: orthonormal rows, the mean's direction first
  // Neurons by what they write, heads likewise: mean |activation| times norm of the output column, mean
  // energy of what a head adds. [m] and [H] int64.
  Orders by_output;
  // Weights of tokens in regressions towards each LayerNorm, [N] float32, 1 on average (sensitivity.cc);
  // empty: all alike.
  std::vector<at::Tensor> fit_weights, held_out_weights;
  std::vector<double>
      sensitivities;  // of each LayerNorm, mean over the fit tokens; empty: not asked for yet, or not known
  at::Tensor token_counts;  // [V] float64
};
// `tokens`: how many of the fit rows' tokens refits see. `weigh`: Sliced.weigh_tokens.
TeacherRecord Record(const models::Model& teacher, const std::vector<models::Batch>& fit,
                     const std::vector<models::Batch>& held_out, int64_t tokens, double weigh);
// Replaces the fit rows of a record by fewer or more of the same sample.
void Resample(const models::Model& teacher, const std::vector<models::Batch>& fit, int64_t tokens,
              double weigh, TeacherRecord* record);

}  // namespace thimble::distill
