// Private to start/: the coordinates of a student in its teacher's, and what its blocks are fitted to there.
// In the notation of docs/sliced_start.md: D the teacher's width, d the student's, K = min(d, D).
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "distill/start/teacher_record.h"

namespace thimble::distill {

// [n, 1]: 1 or -1 for each row of `rows` [n, k], by which its element of largest size becomes positive.
// LAPACK leaves the signs of eigenvectors and singular vectors open, and a student depends on them: P mixes
// directions, and noise is added to factors.
at::Tensor Signs(const at::Tensor& rows);

// The coordinates of a student: P = E B.
struct Basis {
  at::Tensor directions;      // B [K, D] float64, orthonormal rows
  at::Tensor embed;           // E [d, K] float64, orthonormal columns; its first is 1 / sqrt(d) throughout
  at::Tensor Matrix() const;  // P [d, D] float64
};
Basis MakeBasis(const TeacherRecord& record, int width);

// What a block is fitted to, in the student's coordinates.
struct Target {
  at::Tensor sum;       // [N, d] float32: z P^T, each token's mean over D removed before
  at::Tensor state;     // [N, d] float32: LayerNorm(z) P^T
  at::Tensor weights;   // of tokens, [N]; undefined: 1 each
  double variance = 0;  // of `state` about its mean, summed over tokens (by weight) and channels
};
// `weights`: as TeacherRecord::fit_weights.
std::vector<Target> MakeTargets(const models::Model& teacher, const std::vector<at::Tensor>& sums,
                                const std::vector<at::Tensor>& weights, const Basis& basis);

}  // namespace thimble::distill
