// Whatever trained candidates are compared by, before training: of all cheap scores the untrained metric says
// most about the trained one, and the loss little (docs/ranking.md).
#include <cmath>
#include <nlohmann/json.hpp>

#include "search/evaluators/proxy.h"
#include "search/evaluators/study_bench.h"

namespace thimble::search::proxies {
namespace {

// On few rows metrics are often equal; then the loss decides, made small beside what one row is worth.
constexpr double kTie = 1e-7;

std::vector<Score> Scores(const std::vector<proto::Architecture>& candidates, const std::string& what,
                          StudyBench& bench) {
  auto scores = bench.Untrained(what, candidates, proto::METRIC);
  for (Score& score : scores) {
    if (!std::isfinite(score.value)) continue;
    const auto loss = nlohmann::json::parse(score.metrics).at("loss");
    if (loss.is_number())  // JSON has no NaN
      score.value -= kTie * loss.get<double>();
    else
      score = Failed("the loss is not finite");
  }
  return scores;
}

}  // namespace

ProxyFunction metric() { return {.of_candidates = Scores}; }

}  // namespace thimble::search::proxies
