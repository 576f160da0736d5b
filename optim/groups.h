// What a spec says about parameters by name, and about the schedule's beginning.
#pragma once
#include "optim/optimizer.h"

namespace thimble::optim {

// Sets rate_factor and weight_decay from the spec's groups and layer_decay. An Error if a group's pattern
// matches no parameter; without parameters nothing is checked.
void ApplyGroups(const proto::Optimizer& spec, Parameters* parameters);

double WarmupFraction(const proto::Schedule& schedule);

}  // namespace thimble::optim
