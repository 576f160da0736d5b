#include "search/learners/scored_window.h"

#include <algorithm>
#include <cmath>

namespace thimble::search {

void ScoredWindow::Add(Candidate candidate) {
  ++added_;
  latest_.push_back(std::move(candidate));
  if (latest_.size() <= latest_size_) return;
  Candidate oldest = std::move(latest_.front());
  latest_.pop_front();
  // Of equal ones the older stays in front.
  const auto place =
      std::upper_bound(best_.begin(), best_.end(), oldest.value,
                       [](double value, const Candidate& other) { return value > other.value; });
  best_.insert(place, std::move(oldest));
  if (best_.size() > best_size_) best_.pop_back();
}

std::vector<const ScoredWindow::Candidate*> ScoredWindow::All() const {
  std::vector<const Candidate*> all;
  for (const auto& each : best_) all.push_back(&each);
  for (const auto& each : latest_) all.push_back(&each);
  return all;
}

std::vector<const ScoredWindow::Candidate*> ScoredWindow::Best(int count) const {
  auto all = All();
  std::stable_sort(all.begin(), all.end(), [](const auto* a, const auto* b) { return a->value > b->value; });
  all.resize(std::min<size_t>(all.size(), count));
  return all;
}

Standardised Standardise(const std::vector<const ScoredWindow::Candidate*>& candidates) {
  Standardised result;
  const auto count = static_cast<Eigen::Index>(candidates.size());
  result.points.resize(candidates.front()->encoded.size(), count);
  result.values.resize(count);
  result.known.resize(count);
  for (Eigen::Index i = 0; i < count; ++i) {
    result.points.col(i) = candidates[i]->encoded;
    result.values[i] = candidates[i]->value;
    result.known[i] = std::pow(candidates[i]->standard_error, 2);
  }
  result.mean = result.values.mean();
  result.values.array() -= result.mean;
  const double deviation = std::sqrt(result.values.squaredNorm() / static_cast<double>(count));
  if (deviation > 0) result.deviation = deviation;
  result.values /= result.deviation;
  result.known /= result.deviation * result.deviation;
  return result;
}

Eigen::VectorXd ToVector(const std::vector<double>& numbers) {
  return Eigen::Map<const Eigen::VectorXd>(numbers.data(), static_cast<Eigen::Index>(numbers.size()));
}

}  // namespace thimble::search
