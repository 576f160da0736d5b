// Successive halving: the sliced candidates of a round are distilled side by side, each on the schedule of
// all epochs, and after each epoch those that score worst leave. Jamieson and Talwalkar, Non-stochastic Best
// Arm Identification and Hyperparameter Optimization, AISTATS 2016; there a rung is as long as those before
// it together, here it is one epoch.
#include <algorithm>
#include <cmath>

#include "search/brackets.h"
#include "search/evaluators/evaluator.h"
#include "search/evaluators/study_bench.h"

namespace thimble::search::evaluators {
namespace {

class SuccessiveHalving final : public Evaluator {
 public:
  explicit SuccessiveHalving(StudyBench& bench) : bench_(bench) {}

  std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) override {
    const auto& rule = stage.evaluator().successive_halving();
    // ceil of the share, at least `least`; the small subtraction keeps 0.7 * 10, which is a little above 7,
    // from becoming 8.
    const auto stay = [&](double count) {
      return std::max<double>(std::ceil(rule.keep() * count - 1e-9), rule.least());
    };
    return bench_.DistilRound(stage, round, rule.epochs(), [&](const Standing& standing) {
      return Leaving(standing.scores, standing.controls, stay);
    });
  }

 private:
  StudyBench& bench_;
};

}  // namespace

std::unique_ptr<Evaluator> successive_halving(StudyBench& bench) {
  return std::make_unique<SuccessiveHalving>(bench);
}

}  // namespace thimble::search::evaluators
