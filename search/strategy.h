// Who proposes candidates. Ask and tell on pure data: a strategy's state is a function of its seed and of the
// trials it has observed, in order, so a resumed search replays its trials and needs nothing else. Higher
// values are better. Not thread-safe. One file a strategy in search/strategies, one line in
// search/strategies.inc.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "search/space.h"

namespace thimble::search {

enum class TrialState {
  kComplete,
  kPruned,  // thinned by the filter
  kFail,
  kLeft,  // its round before the end (Score::left_after): its value is of less training than those of
          // complete ones
};

struct Trial {
  proto::Architecture architecture;
  TrialState state = TrialState::kComplete;
  double value = 0;  // NaN unless complete or left
  double standard_error = 0;
  std::string origin{};  // Strategy::Origin

  bool scored() const { return state == TrialState::kComplete || state == TrialState::kLeft; }
};
// What a training run says after an epoch.
struct EpochScore {
  double loss = 0;   // mean of the objective over the epoch's batches
  double score = 0;  // as Score.value, on the held-out rows; NaN: it was not scored then
};

// What controls are called, whoever proposes them: a student whose layers are all alike, one by chance, the
// study's ready checkpoint.
inline constexpr char kUniform[] = "uniform", kRandom[] = "random", kReady[] = "ready checkpoint";
inline bool IsControl(const std::string& origin) {
  return origin == kUniform || origin == kRandom || origin == kReady;
}

// What cutting a teacher's blocks costs its answers, by teacher layer: of keeping the k most useful heads, or
// k * neuron_step neurons (distill/start/sliced.h).
struct CutDamages {
  std::vector<std::vector<double>> heads, neurons;
  int neuron_step = 0;
};

// What a strategy may know beside its space.
struct StageInput {
  std::vector<Trial> before{};  // of the stage that this one comes `from`, in order
  bool controls = false;        // Study.controls
  // For students of a hidden width; minutes at its first call. Empty: there is no teacher to cut.
  std::function<CutDamages(int hidden)> damages{};
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  // Up to `count` feasible architectures, different (canonical form) from each other, from everything
  // observed and from what was suggested since the last Observe: whoever skips a suggestion may see it again.
  // Fewer when the space runs out.
  virtual std::vector<proto::Architecture> Suggest(int count) = 0;
  // How a suggestion came about, in a word, where there is something to say.
  virtual std::string Origin(const proto::Architecture& /*suggestion*/) const { return ""; }
  // What its last suggestions followed from, in a sentence without an end, where it has learnt something.
  virtual std::string Explain() const { return ""; }
  // Trials in trial order; how they are cut into calls makes no difference.
  virtual void Observe(const std::vector<Trial>& trials) = 0;
};

// What strategies share: what has been seen, and a random stream that depends on the seed and on the number
// of observed trials only, so that a resumed search goes on with the same numbers whether or not it repeats
// its suggestions.
class Novelty {
 public:
  Novelty(const StageSpace& space, Random seed);
  void Observe(const std::vector<Trial>& trials);
  bool Claim(const proto::Architecture& architecture);  // true if it is new; from now on it is not
  bool Observed(const proto::Architecture& architecture) const;
  // A new point at random, claimed. nullopt when the space has run out: every point of a stage of up to
  // 100,000 points is found; beyond that, and where expressions vary, 2,000 draws in a row that are not new.
  std::optional<proto::Architecture> Sample();
  // Up to `count` candidates, fewer when the space has run out: each what `own` proposes, which has claimed
  // it, or, where that is nothing, a Sample.
  std::vector<proto::Architecture> Propose(
      int count, const std::function<std::optional<proto::Architecture>()>& own = {});
  Random* stream() { return &random_; }
  const StageSpace& space() const { return space_; }

 private:
  const StageSpace& space_;
  Random seed_, random_;
  uint64_t observed_ = 0;
  std::unordered_set<std::string> seen_, suggested_;  // canonical forms
};

struct StrategyEntry {
  std::string name{};  // oneof case in proto/study.proto; set by Strategies()
  std::unique_ptr<Strategy> (*make)(const proto::Strategy&, const StageSpace& space, Random random,
                                    StageInput input) = nullptr;
  // Throws a BadRequest, as "where.FIELD", if the fields do not go together, or not with the stage; nullptr:
  // they always do.
  void (*check)(const proto::Stage&, const std::string& where) = nullptr;
  // Likewise, if they do not go together with the study.
  void (*check_study)(const proto::Study&, const proto::Stage&, const std::string& where) = nullptr;
  bool by_default = false;     // what a stage has that names none; one strategy is
  bool proposes_base = false;  // itself proposes what the stage starts from, and the controls
  bool needs_damages = false;  // StageInput.damages: the study slices its teacher
  bool lists_points =
      false;  // goes through StageSpace's points, in an order of its own whatever the seed: there are some
};
const std::vector<StrategyEntry>& Strategies();
const StrategyEntry& EntryOf(const proto::Strategy& spec);  // of an empty one, the strategy by default
// `space` must outlive the strategy.
std::unique_ptr<Strategy> MakeStrategy(const proto::Strategy& spec, const StageSpace& space, Random random,
                                       StageInput input = {});

}  // namespace thimble::search
