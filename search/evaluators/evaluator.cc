#include "search/evaluators/evaluator.h"

#include "base/error.h"

namespace thimble::search {

std::vector<proto::Architecture> Architectures(const Round& round) {
  std::vector<proto::Architecture> architectures;
  for (const auto& candidate : round.candidates) architectures.push_back(candidate.architecture);
  return architectures;
}

std::unique_ptr<Evaluator> MakeEvaluator(const proto::Evaluator& evaluator, StudyBench& bench) {
  const std::string& name = EntryOf(evaluator).name;
#define EVALUATOR(kind, ...) \
  if (name == #kind) return evaluators::kind(bench);
#include "search/evaluators.inc"
#undef EVALUATOR
  THIMBLE_CHECK(false, name);
  return nullptr;
}

std::vector<double> FilterScores(const proto::Stage& stage,
                                 const std::vector<proto::Architecture>& candidates, StudyBench& bench) {
  const std::string& name = EntryOf(stage.filter()).name;
#define FILTER(kind, ...) \
  if (name == #kind) return filters::kind(stage, candidates, bench);
#include "search/filters.inc"
#undef FILTER
  THIMBLE_CHECK(false, name);
  return {};
}

}  // namespace thimble::search
