// What cutting the teacher's blocks to the candidate's sizes costs, what plans of allocation minimise
// (docs/allocation.md), without a student.
#include <map>
#include <nlohmann/json.hpp>

#include "search/cut_damages.h"
#include "search/evaluators/allocated.h"
#include "search/evaluators/proxy.h"
#include "search/evaluators/study_bench.h"

namespace thimble::search::proxies {
namespace {

std::vector<Score> Scores(const std::vector<proto::Architecture>& candidates, const std::string& what,
                          StudyBench& bench) {
  std::map<int, CutDamages> by_width;  // worked out before the candidates run side by side
  for (const auto& candidate : candidates)
    if (by_width.count(candidate.hidden()) == 0)
      by_width.emplace(candidate.hidden(), ToCutDamages(bench.Start().DamagesAt(candidate.hidden())));
  return bench.ScoreEach(what, candidates, [&](const proto::Architecture& candidate) {
    const double damage = DamageOf(by_width.at(candidate.hidden()), candidate);
    return Score{.value = -damage, .metrics = nlohmann::json{{"damages", damage}}.dump()};
  });
}

}  // namespace

ProxyFunction damages() { return {.of_candidates = Scores}; }

}  // namespace thimble::search::proxies
