#include "tools/report/text.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "search/closing.h"
#include "tools/layer_text.h"
#include "tools/quantities.h"
#include "tools/report/digits.h"
#include "tools/report/verdict.h"
#include "tools/table.h"

namespace thimble::tools {
using search::StageResult;
using search::StoredTrial;
using search::TrialState;

namespace {

std::string StateName(const StoredTrial& trial) {
  switch (trial.trial.state) {
    case TrialState::kComplete:
      return trial.runs == 1 ? "complete" : "complete, mean of " + std::to_string(trial.runs);
    case TrialState::kPruned:
      return "thinned";
    case TrialState::kFail:
      return "failed";
    case TrialState::kLeft:
      return "left after " + std::to_string(trial.left_after) +
             (trial.left_after == 1 ? " epoch" : " epochs");
  }
  return "";
}

// "mean score by origin: drawn 0.6123 (80), learned 0.6571 (120)": whether what a strategy proposes is better
// than what it draws.
std::string ByOrigin(const StageResult& stage) {
  std::map<std::string, std::vector<double>> scores;
  for (const auto& trial : stage.trials)
    if (trial.trial.state == TrialState::kComplete && !trial.trial.origin.empty() &&
        !search::IsControl(trial.trial.origin))
      scores[trial.trial.origin].push_back(trial.trial.value);
  if (scores.size() < 2) return "";
  std::string text;
  for (const auto& [origin, values] : scores)
    text += (text.empty() ? "" : ", ") + origin + " " +
            Decimal(std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size()),
                    DigitsOf(stage)) +
            " (" + std::to_string(values.size()) + ")";
  return "  mean score by origin: " + text + "\n";
}

std::string StageText(const StageResult& stage) {
  if (stage.best < 0) return "stage " + stage.name + ": nothing complete yet\n";
  const auto& best = stage.trials[stage.best];
  const int digits = DigitsOf(stage);
  int complete = 0, close = 0;
  for (const auto& trial : stage.trials) {
    if (trial.trial.state != TrialState::kComplete) continue;
    ++complete;
    // Where rows are not known, the two are taken as independent: a wide bound.
    const auto [more, error] = search::LeadOf(best, trial);
    if (trial.number != best.number && more < 2 * error) ++close;
  }
  return "stage " + stage.name + ": best trial " + std::to_string(best.number) + ", score " +
         Decimal(best.trial.value, digits) + " +- " + Decimal(best.trial.standard_error, digits) + ", " +
         Millions(best.deployed_parameters) + " parameters; " + std::to_string(complete) + " scored, " +
         std::to_string(close) + " of them within two standard errors of it\n" + ByOrigin(stage) +
         (stage.explanation.empty() ? "" : "  proposed by " + stage.explanation + "\n");
}

}  // namespace

std::string TrialText(const std::vector<StageResult>& results) {
  std::string text;
  for (const auto& stage : results) {
    const int digits = DigitsOf(stage);
    std::vector<std::vector<std::string>> table = {
        {"trial", "state", "origin", "parameters", "untrained", "score", "+-", "layers"}};
    for (const auto& trial : stage.trials) {
      table.push_back({stage.name + "/" + std::to_string(trial.number), StateName(trial), trial.trial.origin,
                       Millions(trial.deployed_parameters),
                       std::isnan(trial.filter_score) ? "" : Decimal(trial.filter_score, 3),
                       trial.trial.scored() ? Decimal(trial.trial.value, digits) : "",
                       trial.trial.scored() ? Decimal(trial.trial.standard_error, digits) : "",
                       LayersText(trial.trial.architecture)});
    }
    text += Table(table) + "\n";
  }
  return text;
}

std::string ResultText(const std::vector<StageResult>& results, const Front& front) {
  std::string text;
  const auto groups = search::ByTarget(results);
  for (size_t target = 0; target < groups.size(); ++target) {
    const auto& group = groups[target];
    if (!group[0].target.empty()) text += "target " + group[0].target + ":\n";
    for (const auto& stage : group) text += StageText(stage);
    const auto& last = group.back();
    if (last.best < 0) continue;
    if (const auto verdict = VerdictOf(group)) text += VerdictLine(*verdict);
    text += "layers of the found student:\n";
    for (const auto& layer : last.trials[last.best].trial.architecture.layer())
      text += "  " + BesidesBerts(layer.mixer()) + BlocksText(layer.ffn(), " x ") + "  " +
              layer.ffn().expression() + "\n";
    text += FrontText(last, front, target);
  }
  return text;
}

}  // namespace thimble::tools
