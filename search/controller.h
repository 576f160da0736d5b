// Runs a study's stages from coarse to fine: proposes in rounds, filters, has candidates scored, stores, goes
// on after a kill.
#pragma once
#include <string>
#include <vector>

#include "search/same_study.h"
#include "search/space.h"
#include "search/store.h"

namespace thimble::search {

struct Score {
  double value = 0;  // higher is better; NaN: failed, see reason
  double standard_error = 0;
  std::string metrics;  // JSON object
  std::string reason;
  double seconds = 0;
};

// What scoring needs from the LibTorch side (search/evaluators). Results must depend on the study, the stage
// and the candidate only, so that a repeated call after a kill gives the same numbers.
class Scorer {
 public:
  virtual ~Scorer() = default;
  virtual search::Inputs Inputs() const { return {}; }
  // Before a stage's first round, with the architecture that fixes what it does not vary (trains the
  // supernet, for instance; resumes by itself).
  virtual void Prepare(const proto::Stage& stage, const StageSpace& space) = 0;
  // Filter scores, higher is better, one per candidate.
  virtual std::vector<double> Filter(const proto::Stage& stage,
                                     const std::vector<proto::Architecture>& candidates) = 0;
  virtual std::vector<Score> Evaluate(const proto::Stage& stage,
                                      const std::vector<proto::Architecture>& candidates) = 0;
};

struct StageResult {
  std::string name;
  std::vector<StoredTrial> trials;
  int best = -1;  // index into trials; -1: none complete
};

// Cross-field rules of a study: stage names unique, `from` names an earlier stage, a stage varies something,
// filter and sliced start fit, constraints can be met. Error (exit 2). Touches no disk.
void ValidateStudy(const proto::Study& study, const SpaceContext& context, const std::string& where);

// Runs or continues all stages and returns their results in order. A finished stage is read back, not run
// again. Resuming replays stored rounds through the strategy. With a filter, each round proposes ceil(round /
// keep) candidates, evaluates the best `round` of them, and stores the others as pruned. Throws Interrupted
// between rounds when InterruptRequested(). Error (exit 2) if a stage was begun with a study that differs in
// more than its paths and later stages, or with other inputs (same_study.h); Error (exit 1) if no candidate
// of a stage could be scored.
std::vector<StageResult> RunStudy(const proto::Study& study, const SpaceContext& context, Store* store,
                                  Scorer* scorer);

// The stages' results as stored, without running or creating anything; a stage not begun has no trials.
std::vector<StageResult> ReadStudy(const proto::Study& study, Store* store);

}  // namespace thimble::search
