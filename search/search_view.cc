#include "search/search_view.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/number_text.h"
#include "base/progress.h"
#include "base/status.h"

namespace thimble::search {
namespace {

const StoredTrial* BestWhere(const std::vector<StoredTrial>& trials, const char* origin) {
  const StoredTrial* best = nullptr;
  for (const auto& trial : trials) {
    if (trial.trial.state != TrialState::kComplete) continue;
    if (origin != nullptr ? trial.trial.origin != origin : trial.trial.origin == kReady) continue;
    if (best == nullptr || trial.trial.value > best->trial.value) best = &trial;
  }
  return best;
}

// ", accuracy 0.861": the first metric that is no loss.
std::string MetricText(const StoredTrial& trial) {
  if (trial.metrics.empty()) return "";
  const auto metrics = nlohmann::json::parse(trial.metrics, nullptr, /*allow_exceptions=*/false);
  if (!metrics.is_object()) return "";
  for (const auto& [name, value] : metrics.items())
    if (name.rfind("loss", 0) != 0 && value.is_number())
      return ", " + name + " " + FourDigits(value.get<double>());
  return "";
}

std::string Candidates(int count) {
  return std::to_string(count) + (count == 1 ? " candidate" : " candidates");
}

}  // namespace

std::vector<std::pair<std::string, std::string>> ViewLines(const ViewState& state,
                                                           const std::vector<StoredTrial>& trials) {
  std::vector<std::pair<std::string, std::string>> lines;
  std::string stage = "(" + std::to_string(state.number) + " of " + std::to_string(state.stages) +
                      (state.target.empty() ? "" : ", target " + state.target) +
                      "): " + std::to_string(state.scored) + " of " + Candidates(state.wanted) + " scored";
  if (state.round > 0) stage += ", " + std::to_string(state.round) + " under way";
  lines.emplace_back("stage " + state.stage, stage);
  if (const auto* best = BestWhere(trials, nullptr)) {
    std::string text =
        FourDigits(best->trial.value) +
        (best->trial.standard_error > 0 ? " +- " + FourDigits(best->trial.standard_error) : "") + " (trial " +
        std::to_string(best->number) + MetricText(*best) + ")";
    for (const char* origin : {kUniform, kRandom, kReady})
      if (const auto* control = BestWhere(trials, origin))
        text += "; " + std::string(origin) + " " + FourDigits(control->trial.value) + MetricText(*control);
    if (!state.teacher.empty()) text += "; teacher " + state.teacher;
    lines.emplace_back("best", text);
  }
  const int now = state.scored - state.scored_before;
  if (now > 0 && state.seconds > 0) {
    const double rate = now / state.seconds;
    std::string text = Duration(state.seconds) + ", " + FourDigits(rate * 60) + " candidates a minute";
    if (state.wanted > state.scored)
      text += ", about " + Duration((state.wanted - state.scored) / rate) + " left of this stage";
    lines.emplace_back("time", text);
  }
  return lines;
}

SearchView::SearchView(int stages, std::string teacher) {
  state_.stages = stages;
  state_.teacher = std::move(teacher);
}

SearchView::~SearchView() {
  for (const auto line : {StatusLine::kStage, StatusLine::kBest, StatusLine::kRate}) ClearStatus(line);
}

void SearchView::Begin(const std::string& stage, const std::string& target, int wanted) {
  ++state_.number;
  state_.stage = stage;
  state_.target = target;
  state_.wanted = wanted;
  begin_ = std::chrono::steady_clock::now();
  first_ = true;
}

void SearchView::Update(int scored, int round, const std::vector<StoredTrial>& trials) {
  if (first_) state_.scored_before = scored;
  first_ = false;
  state_.scored = scored;
  state_.round = round;
  state_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  if (!HasStatus()) return;
  const auto lines = ViewLines(state_, trials);
  const StatusLine places[] = {StatusLine::kStage, StatusLine::kBest, StatusLine::kRate};
  for (size_t i = 0; i < std::size(places); ++i)
    i < lines.size() ? SetStatus(places[i], lines[i].first, lines[i].second) : ClearStatus(places[i]);
}

}  // namespace thimble::search
