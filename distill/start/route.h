// Private to start/: experts of their own for clusters of the tokens that a routed block reads.
#pragma once
#include <ATen/core/Tensor.h>

#include "models/model.h"

namespace thimble::distill {

struct RouteInput {
  int layer = 0, stack = 0;
  double ridge = 0;
  at::Tensor x;        // what the block reads, [N, d]
  at::Tensor goal;     // what x plus the block's value should be, [N, d]
  at::Tensor weights;  // of tokens, [N], or undefined
};

// The router sends each token to the nearest of the centres that k-means finds, and each expert's output
// linear is fitted to its own tokens by ridge regression, pulled towards what it was; one with fewer tokens
// than inputs stays. Needs experts that begin alike.
void FitExperts(const RouteInput& input, models::Model* student);

// Centres [k, d] of the rows of x [N, d], N >= k; a function of x alone (k-means++ with a stream of its own,
// then Lloyd's steps).
at::Tensor Centres(const at::Tensor& x, int64_t k);

}  // namespace thimble::distill
