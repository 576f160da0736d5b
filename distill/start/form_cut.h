// Private to start/: a candidate whose feed-forward blocks have another form than its supernet's dense ones:
// other kinds, groups, Monarch matrices, experts.
#pragma once
#include <functional>

#include "distill/start/block_cut.h"

namespace thimble::distill {

// As models::CropCandidate. Blocks of another form are made of the neurons that a dense block of as many
// would have (SetBlocks); `state`: what they read in a layer. CHECK: those of the supernet are dense blocks
// of an expression.
models::Model CropToForm(const models::Model& supernet, const proto::Architecture& candidate,
                         const std::function<BlockState(int layer)>& state);

}  // namespace thimble::distill
