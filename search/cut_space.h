// The space of what a teacher can be cut to: heads and neurons of each layer, hidden widths, depths, embeddings. No LibTorch.
#pragma once
#include <vector>

#include "models/arch/architecture.h"
#include "proto/space.pb.h"

namespace thimble::search {

struct CutSpaceOptions {
  std::vector<int> widths;                   // hidden; empty: the teacher's, and three quarters of it
  std::vector<int> depths;                   // empty: the teacher's, two thirds and half of it
  std::vector<proto::Embedding> embeddings;  // empty: the teacher's
  int neuron_step = 32;
};

// Heads of the teacher's width, from all of a layer's to none; inner widths likewise, in steps. The first point of all is the teacher
// itself. A teacher whose layers differ keeps its depth.
proto::Space CutSpace(const models::Shape& teacher, CutSpaceOptions options = {});

}  // namespace thimble::search
