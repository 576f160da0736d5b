// The space of what a teacher can be cut to: heads and neurons of each layer, hidden widths, depths,
// embeddings. No LibTorch.
#pragma once
#include <vector>

#include "models/arch/architecture.h"
#include "proto/space.pb.h"

namespace thimble::search {

// Hidden widths are the teacher's and three quarters of it, depths the teacher's, two thirds and half of it.
// `embeddings` (empty: the teacher's) are a choice. Heads of the teacher's width, from all of a layer's to
// none; inner widths likewise, in steps of 32. The first point of all is the teacher itself. A teacher whose
// layers differ keeps its depth.
proto::Space CutSpace(const models::ResolvedArchitecture& teacher,
                      const std::vector<proto::Embedding>& embeddings = {});

}  // namespace thimble::search
