#include "tools/study/results_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "tools/study/choice.h"
#include "tools/study/study_context.h"

namespace thimble::tools {
namespace {

using nlohmann::json;

const char* NameOf(search::TrialState state) {
  switch (state) {
    case search::TrialState::kComplete:
      return "complete";
    case search::TrialState::kPruned:
      return "pruned";
    case search::TrialState::kFail:
      return "failed";
    case search::TrialState::kLeft:
      return "left";
  }
  return "";
}

// What export takes of one target; nullptr where no trial meets the study's limits.
const search::StoredTrial* BestOf(const StudyFile& file, const std::vector<search::StageResult>& results) {
  try {
    const auto of_target = StudyOf(file.study, results);
    return Choose(results, of_target, ContextOf(file.study, file.directory), {.study = file.directory}).trial;
  } catch (const Error&) {
    return nullptr;
  }
}

json TrialJson(const search::StageResult& stage, const search::StoredTrial& trial, bool best) {
  const bool scored = trial.trial.scored();
  return {{"stage", stage.name},
          {"number", trial.number},
          {"target", stage.target},
          {"state", NameOf(trial.trial.state)},
          {"origin", trial.trial.origin},
          {"score", scored ? json(trial.trial.value) : json()},
          {"standard_error", scored ? json(trial.trial.standard_error) : json()},
          {"parameters", trial.deployed_parameters},
          {"metrics", trial.metrics.empty() ? json::object() : json::parse(trial.metrics)},
          {"seconds", trial.seconds},
          {"architecture", PrintText(trial.trial.architecture, /*headers=*/false)},
          {"best", best}};
}

}  // namespace

std::string ResultsJson(const StudyFile& file, const std::vector<search::StageResult>& results) {
  json trials = json::array();
  for (const auto& group : search::ByTarget(results)) {
    const auto* best = BestOf(file, group);
    for (const auto& stage : group)
      for (const auto& trial : stage.trials) trials.push_back(TrialJson(stage, trial, &trial == best));
  }
  return json{{"study", file.directory}, {"trials", trials}}.dump(-1, ' ', false,
                                                                  json::error_handler_t::replace) +
         "\n";
}

}  // namespace thimble::tools
