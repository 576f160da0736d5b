#include "search/closing.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace thimble::search {
namespace {

// The mean of `runs` runs and one more.
double Mean(double mean, double one, int runs) { return (mean * runs + one) / (runs + 1); }

// Of JSON objects with the same names.
std::string MeanMetrics(const std::string& means, const std::string& one, int runs) {
  if (means.empty() || one.empty()) return means;
  auto json = nlohmann::json::parse(means);
  const auto other = nlohmann::json::parse(one);
  for (auto each = json.begin(); each != json.end(); ++each)
    if (const auto found = other.find(each.key());
        found != other.end() && each->is_number() && found->is_number())
      *each = Mean(each->get<double>(), found->get<double>(), runs);
  return json.dump();
}

void Fold(const StoredTrial& repeat, StoredTrial* trial) {
  if (repeat.trial.state != TrialState::kComplete || trial->trial.state != TrialState::kComplete) return;
  trial->trial.value = Mean(trial->trial.value, repeat.trial.value, trial->runs);
  // Of the same rows: another run says nothing of them that the first did not.
  trial->trial.standard_error = Mean(trial->trial.standard_error, repeat.trial.standard_error, trial->runs);
  if (trial->rows.size() == repeat.rows.size())
    for (size_t i = 0; i < trial->rows.size(); ++i)
      trial->rows[i] = static_cast<float>(Mean(trial->rows[i], repeat.rows[i], trial->runs));
  trial->metrics = MeanMetrics(trial->metrics, repeat.metrics, trial->runs);
  trial->seconds += repeat.seconds;
  ++trial->runs;
}

}  // namespace

bool IsClosing(const StoredTrial& trial) { return trial.again_of >= 0 || trial.trial.origin == kReady; }

Difference LeadOf(const StoredTrial& a, const StoredTrial& b) {
  if (!a.rows.empty() && a.rows.size() == b.rows.size())
    return PairedDifference({a.rows.begin(), a.rows.end()}, {b.rows.begin(), b.rows.end()});
  return {a.trial.value - b.trial.value, std::hypot(a.trial.standard_error, b.trial.standard_error)};
}

std::vector<const StoredTrial*> CannotBeTold(const std::vector<StoredTrial>& trials, int count) {
  std::vector<const StoredTrial*> complete;
  for (const auto& trial : trials)
    if (trial.trial.state == TrialState::kComplete && trial.again_of < 0) complete.push_back(&trial);
  std::stable_sort(complete.begin(), complete.end(), [](const StoredTrial* a, const StoredTrial* b) {
    return a->trial.value > b->trial.value;
  });
  const auto best = std::find_if(complete.begin(), complete.end(),
                                 [](const StoredTrial* trial) { return trial->trial.origin != kReady; });
  if (best == complete.end()) return {};
  const StoredTrial* leader = *best;
  std::vector<const StoredTrial*> close = {leader};
  for (const StoredTrial* trial : complete) {
    const auto [more, error] = LeadOf(*leader, *trial);
    if (trial != leader && static_cast<int>(close.size()) < count && std::abs(more) < 2 * error)
      close.push_back(trial);
  }
  if (close.size() < 2) close.clear();
  return close;
}

std::vector<StoredTrial> Folded(std::vector<StoredTrial> trials) {
  std::vector<StoredTrial> folded;
  for (auto& trial : trials) {
    if (trial.again_of < 0)
      folded.push_back(std::move(trial));  // before its repeats, which are all behind
    else
      Fold(trial, &folded[trial.again_of]);
  }
  return folded;
}

}  // namespace thimble::search
