// What a student's blocks are worth by what cutting the teacher's to their sizes costs (docs/allocation.md).
// Pure.
#pragma once
#include <vector>

#include "models/arch/architecture.h"
#include "search/strategy.h"

namespace thimble::search {

// From 0: the teacher's layer at the height of a student's, as the start takes it (distill's NearestLayers).
int TeacherLayerOf(int layer, int depth, int teacher_layers);
// The damage of keeping `size` heads (step 1) or neurons (CutDamages::neuron_step) of a block; damages as
// CutDamages has them of it.
double DamageOfSize(const std::vector<double>& damages, int size, int step);
// The damage of the layers that a student of this depth is without, all of theirs.
double DamageOfDepth(const CutDamages& damages, int depth);

// Sum over all of it. A mixer without attention scores has no heads, and of stacked blocks the first counts.
double DamageOf(const CutDamages& damages, const proto::Architecture& architecture);

}  // namespace thimble::search
