// What candidates are weighed by beside their score: costs by formula, whichever limits a study has. No
// LibTorch.
#pragma once
#include <functional>
#include <string>

#include "proto/study.pb.h"
#include "search/limits.h"

namespace thimble::search {

using Goal = proto::Nsga2::Goal;
inline constexpr Goal kScore = proto::Nsga2::SCORE, kParameters = proto::Nsga2::PARAMETERS,
                      kMultiplyAdds = proto::Nsga2::MULTIPLY_ADDS, kLatency = proto::Nsga2::LATENCY,
                      kBytes = proto::Nsga2::BYTES;
inline constexpr Goal kGoals[] = {kScore, kParameters, kMultiplyAdds, kLatency, kBytes};

// The cost of an architecture by a goal that is not the score; the less the better. Error (exit 2) with
// `where` if the study does not say what latency is meant. Where SpaceContext has none to look at, 0.
std::function<double(const proto::Architecture&)> CostOf(Goal goal, const proto::Study& study,
                                                         const SpaceContext& context,
                                                         const std::string& where);
// The same error, before anything is measured: for whichever of its targets the study is run.
void CheckGoal(Goal goal, const proto::Study& study, const std::string& where);

std::string NameOf(Goal goal);  // "multiply_adds", as options and reports have it

}  // namespace thimble::search
