// Successive halving: the sliced candidates of a round are distilled side by side, each on the schedule of all epochs, and
// after each epoch those that score worst leave. Jamieson and Talwalkar, Non-stochastic Best Arm Identification and
// Hyperparameter Optimization, AISTATS 2016; there a rung is as long as those before it together, here it is one epoch.
#include <algorithm>
#include <cmath>

#include "search/evaluators/evaluator.h"
#include "search/evaluators/study_bench.h"

namespace thimble::search::evaluators {
namespace {

// All without a score, and of the others all but the best: ceil(keep * their number), at least `least`; of equal ones
// the first. Controls stay beside them.
std::vector<size_t> Leaving(const std::vector<double>& scores, const std::vector<bool>& controls, const proto::SuccessiveHalving& rule) {
  std::vector<size_t> order;
  for (size_t i = 0; i < scores.size(); ++i)
    if (!controls[i] || std::isnan(scores[i])) order.push_back(i);
  const auto scored = std::stable_partition(order.begin(), order.end(), [&](size_t i) { return !std::isnan(scores[i]); });
  std::stable_sort(order.begin(), scored, [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  const auto count = scored - order.begin();
  // The small subtraction keeps 0.7 * 10, which is a little above 7, from becoming 8.
  const auto share = static_cast<std::ptrdiff_t>(std::ceil(rule.keep() * static_cast<double>(count) - 1e-9));
  return {order.begin() + std::min(count, std::max<std::ptrdiff_t>(share, rule.least())), order.end()};
}

class SuccessiveHalving final : public Evaluator {
 public:
  explicit SuccessiveHalving(StudyBench& bench) : bench_(bench) {}

  std::vector<Score> Evaluate(const proto::Stage& stage, const std::vector<proto::Architecture>& candidates,
                              const std::vector<bool>& controls) override {
    const auto& rule = stage.evaluator().successive_halving();
    return bench_.DistilRound(stage, candidates, rule.epochs(),
                              [&](const std::vector<size_t>& going_on, const std::vector<double>& scores) {
                                std::vector<bool> stay;
                                for (const size_t i : going_on) stay.push_back(!controls.empty() && controls[i]);
                                return Leaving(scores, stay, rule);
                              });
  }

 private:
  StudyBench& bench_;
};

}  // namespace

std::unique_ptr<Evaluator> successive_halving(StudyBench& bench) { return std::make_unique<SuccessiveHalving>(bench); }

}  // namespace thimble::search::evaluators
