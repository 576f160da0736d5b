// The metric of the sliced, refitted and untrained candidate; the loss where metrics are equal.
#include <cmath>
#include <nlohmann/json.hpp>

#include "search/evaluators/evaluator.h"
#include "search/evaluators/study_bench.h"

namespace thimble::search::filters {

std::vector<double> sliced_score(const proto::Stage& stage, const std::vector<proto::Architecture>& candidates,
                                 StudyBench& bench) {
  // Whatever trained candidates are compared by: of all cheap scores the untrained metric says most about the
  // trained one, and the loss little (docs/ranking.md). On few rows metrics are often equal; then the loss
  // decides, made small beside what one row is worth.
  constexpr double kTie = 1e-7;
  std::vector<double> values;
  for (const auto& score :
       bench.Untrained("stage " + stage.name() + ": untrained scores", candidates, proto::METRIC)) {
    // What has no score is the worst, and what has no loss: JSON has no NaN.
    nlohmann::json loss;
    if (std::isfinite(score.value)) loss = nlohmann::json::parse(score.metrics).at("loss");
    values.push_back(loss.is_number() ? score.value - kTie * loss.get<double>() : -HUGE_VAL);
  }
  return values;
}

}  // namespace thimble::search::filters
