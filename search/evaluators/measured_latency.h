// What candidates take on this machine, for SpaceContext: sums of parts that are measured once.
#pragma once
#include <functional>
#include <string>

#include "models/model.h"
#include "proto/space.pb.h"

namespace thimble::search {

// `read`: of the last layer, as the task's head does. At the first question of a setting the parts of all of
// `space` are measured, in turn. `directory` (empty: none): keeps them, in a file for each setting; it is
// read where it is there, so that a study goes on with the times it was begun with. Error (exit 2) if that
// file is of another machine (models/latency_store.h).
std::function<double(const proto::Architecture&, const proto::LatencyConstraint&)> MeasuredLatency(
    models::Tokens read, const proto::Space& space, const std::string& directory = "");

// The file of a setting in such a directory.
std::string LatencyFile(const std::string& directory, const proto::LatencyConstraint& of);

}  // namespace thimble::search
