// Hyperband: a round is a bracket of successive halving, from many candidates that learn for a short while to
// few that learn for long. Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter
// Optimization, JMLR 2018. Every candidate is on the schedule of all epochs, so that those that stay to the
// end compare across brackets.
#include <algorithm>
#include <cmath>

#include "search/brackets.h"
#include "search/evaluators/evaluator.h"
#include "search/evaluators/study_bench.h"

namespace thimble::search::evaluators {
namespace {

class Hyperband final : public Evaluator {
 public:
  explicit Hyperband(StudyBench& bench) : bench_(bench) {}

  std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) override {
    const auto& rule = stage.evaluator().hyperband();
    // What no strategy proposed is there to be compared with.
    const auto rungs = round.number < 0 ? std::vector<int>() : BracketOf(rule, round.number).rungs;
    return bench_.DistilRound(stage, round, rule.epochs(), [&](const Standing& standing) {
      const bool rung = std::find(rungs.begin(), rungs.end(), standing.epoch) != rungs.end();
      return Leaving(standing.scores, standing.controls, [&](double count) {
        return rung ? std::max(1.0, std::floor(count / rule.reduction())) : count;
      });
    });
  }

 private:
  StudyBench& bench_;
};

}  // namespace

std::unique_ptr<Evaluator> hyperband(StudyBench& bench) { return std::make_unique<Hyperband>(bench); }

}  // namespace thimble::search::evaluators
