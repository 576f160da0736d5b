// Private to start/: a feed-forward block made of neurons of the teacher, its linears dense, block-diagonal
// or Monarch matrices (FeedForward.groups).
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "distill/start/reader.h"
#include "models/model.h"

namespace thimble::distill {

// n neurons in the student's coordinates, the most useful first, float64.
struct Neurons {
  at::Tensor up;         // [n, d]
  at::Tensor bias;       // [n]
  at::Tensor down;       // [d, n]
  at::Tensor down_bias;  // [d]
};
// What the block reads, in the student's coordinates.
struct BlockState {
  at::Tensor mean;        // [d]
  at::Tensor covariance;  // [d, d]
};

// Overwrites up, hidden linears and down in "layer.N.ffn.S." of the student, of a block `width` neurons wide;
// n is at most that. Block-diagonal: a neuron goes to the group whose channels say most about what it reads,
// while there is room, and reads the best guess of it; of Monarch matrices see SetMonarch. `writes` false:
// the block adds nothing until down is fitted.
void SetBlock(const Neurons& neurons, const BlockState& state, const proto::FeedForward& ffn, int64_t width,
              const std::string& scope, bool writes, models::Model* student);
// The same of all that stands in the place of a block of `layer`: experts, which begin alike, get the same
// neurons, behind those of the block that all tokens go through.
void SetBlocks(const Neurons& neurons, const BlockState& state, const models::LayerShape& layer,
               const std::string& scope, bool writes, models::Model* student);
// Of what a layer reads in the teacher; embed: basis.h.
BlockState StateOf(const Reader& reader, const at::Tensor& embed);

// Of a matrix [o, i] its blocks on the diagonal, [o, i / groups]; and the matrix that has nothing beside
// them.
at::Tensor DiagonalBlocks(const at::Tensor& matrix, int64_t groups);
at::Tensor FromDiagonalBlocks(const at::Tensor& blocks, int64_t groups);

// The Monarch matrix nearest to a matrix [o, i]: of each of its groups^2 blocks the first singular vectors.
// Dao et al., ICML 2022, theorem 1.
struct Monarch {
  at::Tensor inner;  // [min(o, i), i / groups]
  at::Tensor outer;  // [o, min(o, i) / groups]
};
Monarch NearestMonarch(const at::Tensor& matrix, int64_t groups);

}  // namespace thimble::distill
