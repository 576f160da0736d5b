#include "data/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>

#include "base/error.h"
#include "base/random.h"

namespace thimble::data {
namespace {

Metric Accuracy(const std::vector<int>& predicted, const std::vector<int>& gold) {
  const auto n = static_cast<double>(gold.size());
  double equal = 0;
  for (size_t i = 0; i < gold.size(); ++i) equal += predicted[i] == gold[i];
  const double share = equal / n;
  return {.value = share, .standard_error = std::sqrt(share * (1 - share) / n)};
}

// How class 1 fared in one row.
enum Outcome { kTruePositive, kFalsePositive, kFalseNegative, kOther, kOutcomes };

double F1Of(const std::array<int64_t, kOutcomes>& counts) {
  const int64_t twice_hits = 2 * counts[kTruePositive];
  const int64_t all = twice_hits + counts[kFalsePositive] + counts[kFalseNegative];
  return all == 0 ? 0 : static_cast<double>(twice_hits) / static_cast<double>(all);
}

Metric F1(const std::vector<int>& predicted, const std::vector<int>& gold) {
  std::vector<Outcome> outcomes(gold.size());
  std::array<int64_t, kOutcomes> counts{};
  for (size_t i = 0; i < gold.size(); ++i) {
    outcomes[i] = gold[i] == 1 ? (predicted[i] == 1 ? kTruePositive : kFalseNegative)
                               : (predicted[i] == 1 ? kFalsePositive : kOther);
    ++counts[outcomes[i]];
  }
  // Bootstrap over rows (Efron, 1979). The standard error of 200 resamples is itself known to 5%.
  constexpr int kResamples = 200;
  Random random(1);
  double sum = 0, squares = 0;
  for (int resample = 0; resample < kResamples; ++resample) {
    std::array<int64_t, kOutcomes> drawn{};
    for (size_t i = 0; i < outcomes.size(); ++i) ++drawn[outcomes[random.Below(outcomes.size())]];
    const double value = F1Of(drawn);
    sum += value;
    squares += value * value;
  }
  const double mean = sum / kResamples;
  const double variance = std::max(0.0, (squares - sum * mean) / (kResamples - 1));
  return {.value = F1Of(counts), .standard_error = std::sqrt(variance)};
}

}  // namespace

Metric ComputeMetric(const std::string& name, const std::vector<int>& predicted,
                     const std::vector<int>& gold) {
  THIMBLE_CHECK(predicted.size() == gold.size() && !gold.empty(),
                std::to_string(predicted.size()) + " answers, " + std::to_string(gold.size()) + " labels");
  static const std::map<std::string, std::function<Metric(const std::vector<int>&, const std::vector<int>&)>>
      kMetrics = {{"accuracy", Accuracy}, {"f1", F1}};
  const auto found = kMetrics.find(name);
  if (found == kMetrics.end()) {
    std::string names;
    for (const auto& [known, unused] : kMetrics) names += (names.empty() ? "" : ", ") + known;
    throw BadRequest("metric", "unknown name", "\"" + name + "\"", names);
  }
  Metric metric = found->second(predicted, gold);
  metric.name = name;
  return metric;
}

std::vector<Metric> ComputeMetrics(const std::vector<std::string>& names, const std::vector<int>& predicted,
                                   const std::vector<int>& gold) {
  std::vector<Metric> metrics;
  for (const auto& name : names) metrics.push_back(ComputeMetric(name, predicted, gold));
  return metrics;
}

double MajorityShare(const std::vector<int>& gold) {
  THIMBLE_CHECK(!gold.empty(), "no labels");
  std::map<int, size_t> counts;
  size_t most = 0;
  for (const int label : gold) most = std::max(most, ++counts[label]);
  return static_cast<double>(most) / static_cast<double>(gold.size());
}

}  // namespace thimble::data
