#include "search/evaluator.h"

#include "base/catalogue.h"
#include "search/brackets.h"
#include "search/proxy.h"

namespace thimble::search {

const std::vector<EvaluatorEntry>& Evaluators() {
  static const std::vector<EvaluatorEntry> entries = {
#define EVALUATOR(kind, ...) EvaluatorEntry{.name = #kind, __VA_ARGS__},
#include "search/evaluators.inc"
#undef EVALUATOR
  };
  return entries;
}

const std::vector<FilterEntry>& Filters() {
  static const std::vector<FilterEntry> entries = {
#define FILTER(kind, ...) FilterEntry{.name = #kind, __VA_ARGS__},
#include "search/filters.inc"
#undef FILTER
  };
  return entries;
}

int RoundSize(const proto::Stage& stage, int number) {
  const auto round = EntryOf(stage.evaluator()).round;
  return round == nullptr ? stage.round() : round(stage, number);
}

const EvaluatorEntry& EntryOf(const proto::Evaluator& evaluator) { return EntryIn(Evaluators(), evaluator); }
const FilterEntry& EntryOf(const proto::Filter& filter) { return EntryIn(Filters(), filter); }

void RequireSliced(const proto::Study& study, const std::string& where, const std::string& instead) {
  if (!study.warmup().has_sliced())
    throw BadRequest(where, "scores sliced candidates, but the study does not slice the teacher", "",
                     "warmup { sliced {} }, or " + instead);
}

}  // namespace thimble::search
