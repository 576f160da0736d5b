// What a found student is compared with: a uniform one and a random one within the same limits
// (Study.controls), and a checkpoint that is there already (Study.ready).
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "search/space.h"

namespace thimble::search {

// Whether stage `index` trains them beside its candidates: the last stage that trains, unless its strategy
// proposes them.
bool TrainsControls(const proto::Study& study, int index);

// Whether stage `index` trains the study's ready checkpoint: the last stage that trains.
bool TrainsReady(const proto::Study& study, int index);

// Architectures and origins (kUniform, kRandom): the costliest whose layers are all alike, and one by chance,
// of whatever any stage of the study varies. Fewer where the space has none.
std::vector<std::pair<proto::Architecture, std::string>> Controls(const proto::Study& study,
                                                                  const proto::Stage& stage,
                                                                  const SpaceContext& context);

}  // namespace thimble::search
