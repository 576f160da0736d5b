// Runs a study's stages from coarse to fine: proposes in rounds, filters, has candidates scored, stores, goes
// on after a kill.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "search/same_study.h"
#include "search/space.h"
#include "search/store.h"

namespace thimble::search {

struct Score {
  double value = 0;  // higher is better; NaN: failed, see reason
  double standard_error = 0;
  std::vector<float> rows{};         // of each held-out row, whose mean is the value; empty: it has none
  std::string metrics;               // JSON object
  std::vector<EpochScore> epochs{};  // of a candidate that was trained for its score, also of one that failed
  std::string reason;
  double seconds = 0;
  // Epochs after which it left its round, unlike others that went on: its score is comparable with none of
  // theirs. 0: it stayed to the end.
  int left_after = 0;
};

// What is scored.
struct Candidate {
  proto::Architecture architecture;
  bool control = false;  // there to be compared with: it stays in its round to the end
  bool ready = false;    // starts as the study's ready checkpoint; others are cut out of the teacher
};

// Candidates that are scored together.
struct Round {
  std::vector<Candidate> candidates{};
  int number = -1;  // of the rounds that the stage's strategy has proposed, from 0; -1: of none
  int repeat = 0;   // how often these have been scored before; what trains then goes by other random numbers
};

// What scoring needs from the LibTorch side (search/evaluators). Results must depend on the study, the stage
// and the candidate only, so that a repeated call after a kill gives the same numbers; who leaves its round,
// on the round, too.
class Scorer {
 public:
  virtual ~Scorer() = default;
  virtual search::Inputs Inputs() const { return {}; }
  // Before a stage's first round, with the architecture that fixes what it does not vary (trains the
  // supernet, for instance; resumes by itself).
  virtual void Prepare(const proto::Stage& stage, const StageSpace& space) = 0;
  // What cutting the study's teacher costs, for students of that width (Strategy); it has a sliced start.
  virtual CutDamages Damages(int /*hidden*/) { return {}; }
  // Filter scores, higher is better, one per candidate.
  virtual std::vector<double> Filter(const proto::Stage& stage,
                                     const std::vector<proto::Architecture>& candidates) = 0;
  // The architecture of the study's ready checkpoint, where it names one.
  virtual std::optional<proto::Architecture> Ready() { return std::nullopt; }
  // A score for each candidate of the round.
  virtual std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) = 0;
  std::vector<Score> Evaluate(const proto::Stage& stage,
                              const std::vector<proto::Architecture>& architectures) {
    Round round{.number = 0};
    for (const auto& architecture : architectures) round.candidates.push_back({architecture});
    return Evaluate(stage, round);
  }
};

struct StageResult {
  std::string name;
  std::vector<StoredTrial> trials;  // repeats folded into what they repeat
  int best = -1;                    // index into trials; -1: none complete
  std::string target;               // TargetName; empty: the study has none
  std::string explanation;          // Strategy::Explain of the end of the stage
  std::string end;                  // why it is finished, "all trials evaluated"; empty: it is not
};

// The best complete trial of those that `is`, the first of equals; nullptr: none.
const StoredTrial* BestTrial(const StageResult& stage, const std::function<bool(const StoredTrial&)>& is);

// The stages' results of each target, in order; without targets all of them.
std::vector<std::vector<StageResult>> ByTarget(const std::vector<StageResult>& results);

// Cross-field rules of a study: stage names unique, `from` names an earlier stage, a stage varies something,
// filter and sliced start fit, constraints can be met. Error (exit 2). Touches no disk.
void ValidateStudy(const proto::Study& study, const SpaceContext& context, const std::string& where);

// Runs or continues all stages, for each target in turn, and returns their results in order. The last stage
// that trains also trains controls (Study.controls): the uniform student that uses most of the budget and a
// random one, beside its `trials`, unless its strategy proposes them, then the ready checkpoint, and in the
// end once more what cannot be told from the best (search/closing.h). A finished stage is read back, not run
// again. Resuming replays stored rounds through the strategy. With a filter, each round proposes ceil(round /
// keep) candidates, evaluates the best `round` of them, and stores the others as pruned. Throws Interrupted
// between rounds when InterruptRequested(). Error (exit 2) if a stage was begun with a study that differs in
// more than its paths and later stages, or with other inputs (same_study.h); Error (exit 1) if no candidate
// of a stage could be scored.
// `teacher`: what is shown of it beside the best candidate while the search runs, "accuracy 0.872".
std::vector<StageResult> RunStudy(const proto::Study& study, const SpaceContext& context, Store* store,
                                  Scorer* scorer, const std::string& teacher = "");

// The stages' results as stored, without running or creating anything; a stage not begun has no trials.
std::vector<StageResult> ReadStudy(const proto::Study& study, Store* store);

}  // namespace thimble::search
