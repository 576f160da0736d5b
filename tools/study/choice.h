// Which of a study's trials is exported.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "proto/study.pb.h"
#include "search/controller.h"

namespace thimble::tools {

// The results of the target that is asked for (TargetName; empty: the only one). Error (exit 2) with the
// targets there are.
std::vector<search::StageResult> ResultsOf(const std::vector<search::StageResult>& results,
                                           const std::string& target);
// The study of the target whose results these are.
proto::Study StudyOf(const proto::Study& study, const std::vector<search::StageResult>& results);

struct ChoiceLimits {
  std::string study;  // in messages
  std::string trial;  // STAGE/NUMBER; empty: the best
  int64_t max_params = INT64_MAX;
  double max_ms = INFINITY;  // batch 1, 128 tokens, 1 thread
};
struct Choice {
  const search::StageResult* stage = nullptr;  // among the results
  const search::StoredTrial* trial = nullptr;
};
// The trial to export: of the last stage that has complete trials the best within the limits and, measured
// whole, within a twentieth of the study's own on latency; of those within one standard error of the best, in
// pairs over the held-out rows, the smallest first. Or the trial that is asked for. Error (exit 2) if there
// is none.
Choice Choose(const std::vector<search::StageResult>& results, const proto::Study& study,
              const search::SpaceContext& context, const ChoiceLimits& limits);

// The uniform student that the search has trained, or scored, beside what it found; nullptr: none.
const search::StoredTrial* UniformControl(const std::vector<search::StageResult>& results);
// A student made by hand: layers that are all alike, with the seed expression; of the space's the one nearest
// in size to `found`.
proto::Architecture UniformLike(const proto::Study& study, const search::SpaceContext& context,
                                const search::StoredTrial& found);

}  // namespace thimble::tools
