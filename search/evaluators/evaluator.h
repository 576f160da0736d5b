// How a candidate gets its score, and what thins the proposals before. One file an entry in this folder, one
// line in search/evaluators.inc or search/filters.inc, where its facts stand (search/evaluator.h). What they
// share is StudyBench.
#pragma once
#include <memory>
#include <vector>

#include "search/controller.h"
#include "search/evaluator.h"

namespace thimble::search {

class StudyBench;

class Evaluator {
 public:
  virtual ~Evaluator() = default;
  // Scorer's, of the stages that have this evaluator.
  virtual void Prepare(const proto::Stage& /*stage*/, const StageSpace& /*space*/) {}
  virtual std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) = 0;
};

std::vector<proto::Architecture> Architectures(const Round& round);

// `bench` must outlive the evaluator.
std::unique_ptr<Evaluator> MakeEvaluator(const proto::Evaluator& evaluator, StudyBench& bench);
// The stage's filter: Scorer::Filter.
std::vector<double> FilterScores(const proto::Stage& stage,
                                 const std::vector<proto::Architecture>& candidates, StudyBench& bench);

// What the files of the two catalogues define.
namespace evaluators {
#define EVALUATOR(name, ...) std::unique_ptr<Evaluator> name(StudyBench& bench);
#include "search/evaluators.inc"
#undef EVALUATOR
}  // namespace evaluators
namespace filters {
#define FILTER(name, ...)                                                                                 \
  std::vector<double> name(const proto::Stage& stage, const std::vector<proto::Architecture>& candidates, \
                           StudyBench& bench);
#include "search/filters.inc"
#undef FILTER
}  // namespace filters

}  // namespace thimble::search
