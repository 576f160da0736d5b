#include "tools/report/verdict.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "search/closing.h"
#include "tools/quantities.h"
#include "tools/report/digits.h"

namespace thimble::tools {

using search::StageResult;
using search::StoredTrial;

namespace {

bool IsControl(const StoredTrial& trial) { return search::IsControl(trial.trial.origin); }

// The last stage that trained controls; nullptr: none has.
const StageResult* Controlled(const std::vector<StageResult>& results) {
  for (auto stage = results.rbegin(); stage != results.rend(); ++stage)
    if (search::BestTrial(*stage, IsControl) != nullptr) return &*stage;
  return nullptr;
}

std::string KindText(const Comparison& comparison) {
  const std::string& kind = comparison.control->trial.origin;
  return kind == search::kReady ? kind : kind + " student";
}

std::string Signed(double value, int digits) { return (value < 0 ? "" : "+") + Decimal(value, digits); }

bool Finished(const std::vector<StageResult>& results) {
  return !results.empty() && !results.back().end.empty();
}

// "12 candidates are scored so far"
std::string SoFar(const std::vector<StageResult>& results) {
  int scored = 0;
  for (const auto& stage : results)
    for (const auto& trial : stage.trials) scored += trial.trial.scored() ? 1 : 0;
  return std::to_string(scored) + (scored == 1 ? " candidate is" : " candidates are") + " scored so far";
}

}  // namespace

std::string Comparison::Word() const {
  return Errors() >= 2 ? "beats" : Errors() <= -2 ? "loses to" : "cannot be told from";
}

std::optional<Verdict> VerdictOf(const std::vector<StageResult>& results) {
  const StageResult* stage = Controlled(results);
  if (stage == nullptr) return std::nullopt;
  Verdict verdict{.stage = stage, .found = search::BestTrial(*stage, [](const StoredTrial& trial) {
                                    return !IsControl(trial);
                                  })};
  if (verdict.found == nullptr) return std::nullopt;
  for (const char* kind : {search::kUniform, search::kRandom, search::kReady}) {
    const StoredTrial* control =
        search::BestTrial(*stage, [&](const StoredTrial& trial) { return trial.trial.origin == kind; });
    if (control == nullptr) continue;
    const auto [more, error] = search::LeadOf(*verdict.found, *control);
    verdict.against.push_back({control, more, error});
  }
  return verdict;
}

Found FoundIn(const std::vector<StageResult>& results) {
  for (auto stage = results.rbegin(); stage != results.rend(); ++stage)
    if (stage->best >= 0) return {&*stage, &stage->trials[stage->best]};
  return {};
}

std::string MetricsText(const StoredTrial& trial) {
  std::string text;
  if (trial.metrics.empty()) return text;
  const auto metrics = nlohmann::json::parse(trial.metrics);
  for (const auto& [name, value] : metrics.items())
    if (name.rfind("loss", 0) != 0 && value.is_number())
      text += (text.empty() ? "" : ", ") + name + " " + Decimal(value.get<double>(), 3);
  return text;
}

std::string VerdictLine(const Verdict& verdict) {
  const auto& [stage, found, against] = verdict;
  std::string text;
  for (const auto& each : against) {
    const int digits = DigitsFor({each.more}, {each.error});
    text += text.empty() ? "" : "; it ";
    text += each.Word() + " the " + KindText(each) + " " + std::to_string(each.control->number) + ": score " +
            Signed(each.more, digits) + " +- " + Decimal(each.error, digits) + ", " +
            Decimal(each.Errors(), 1) + " standard errors";
    if (const std::string metrics = MetricsText(*each.control); !metrics.empty())
      text += " (" + metrics + ")";
  }
  const std::string metrics = MetricsText(*found);
  return "verdict: found student " + stage->name + "/" + std::to_string(found->number) +
         (found->trial.origin.empty() ? " " : " (" + found->trial.origin + ") ") + text +
         (metrics.empty() ? "" : "; its own: " + metrics + ", all on the held-out rows") + "\n";
}

std::string Headline(const std::vector<StageResult>& results) {
  const Found best = FoundIn(results);
  if (best.trial == nullptr) return "Nothing is scored yet";
  const bool finished = Finished(results);
  const auto verdict = VerdictOf(results);
  if (!verdict || !finished) {
    const auto& trial = best.trial->trial;
    const int digits = DigitsFor({trial.value}, {trial.standard_error});
    return std::string(finished ? "The best student is "
                                : "The search is not finished; the best student so far is ") +
           best.stage->name + "/" + std::to_string(best.trial->number) + " with " +
           Millions(best.trial->deployed_parameters) + " parameters and a score of " +
           Decimal(trial.value, digits) +
           (trial.standard_error > 0 ? " ± " + Decimal(trial.standard_error, digits) : "") +
           (finished ? ", and no control was trained to compare it with" : "; " + SoFar(results));
  }
  std::string text =
      "The found student " + verdict->stage->name + "/" + std::to_string(verdict->found->number) + " ";
  for (size_t i = 0; i < verdict->against.size(); ++i) {
    const auto& each = verdict->against[i];
    const int digits = DigitsFor({each.more}, {each.error});
    if (i > 0) text += i + 1 == verdict->against.size() ? " and " : ", ";
    // "beats the uniform student (...) and the random student (...)"
    text += (i > 0 && each.Word() == verdict->against[i - 1].Word() ? "" : each.Word() + " ") + "the " +
            KindText(each) + " (" + Signed(each.more, digits) +
            (each.error > 0 ? " ± " + Decimal(each.error, digits) : "") + ")";
  }
  return text + ", with " + Millions(verdict->found->deployed_parameters) + " parameters";
}

}  // namespace thimble::tools
