// How far the answers of the untrained student are from the teacher's (docs/ranking.md).
#include "search/evaluators/proxy.h"
#include "search/evaluators/study_bench.h"

namespace thimble::search::proxies {
namespace {

std::vector<Score> Scores(const std::vector<proto::Architecture>& candidates, const std::string& what,
                          StudyBench& bench) {
  return bench.Untrained(what, candidates, proto::DIVERGENCE);
}

}  // namespace

ProxyFunction divergence() { return {.of_candidates = Scores}; }

}  // namespace thimble::search::proxies
