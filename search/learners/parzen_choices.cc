#include "search/learners/parzen_choices.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace thimble::search {
namespace {

constexpr int kRecent = 25;  // that weigh as much as can be

// Of the kernels, the oldest first, and of the prior behind them.
std::vector<double> Weights(size_t seen) {
  std::vector<double> weights(seen + 1, 1);
  const auto count = static_cast<double>(seen), old = count - kRecent;
  for (double i = 0; i < old; ++i)
    weights[static_cast<size_t>(i)] = old > 1 ? 1 / count + (1 - 1 / count) * i / (old - 1) : 1 / count;
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= sum;
  return weights;
}

double Normal(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

// Adds a normal density that is cut off at the ends, place by place.
void AddKernel(double mean, double deviation, double weight, std::vector<double>* shares) {
  const auto choices = static_cast<double>(shares->size());
  const auto below = [&](double x) { return Normal((x - mean) / deviation); };
  const double all = below(choices - 0.5) - below(-0.5);
  double last = below(-0.5);
  for (size_t i = 0; i < shares->size(); ++i) {
    const double next = below(static_cast<double>(i) + 0.5);
    (*shares)[i] += weight * (next - last) / all;
    last = next;
  }
}

}  // namespace

std::vector<double> ParzenShares(const std::vector<int>& seen, int choices) {
  const auto weights = Weights(seen.size());
  const double prior = 1 / static_cast<double>(weights.size());
  std::vector<double> shares(choices, weights.back() / choices);
  for (size_t k = 0; k < seen.size(); ++k)
    for (int i = 0; i < choices; ++i)
      shares[i] += weights[k] * (prior + (i == seen[k])) / (1 + choices * prior);
  return shares;
}

std::vector<double> OrderedParzenShares(const std::vector<int>& seen, int choices) {
  const auto weights = Weights(seen.size());
  std::vector<double> shares(choices, 0);
  const auto width = static_cast<double>(choices);
  AddKernel((width - 1) / 2, width, weights.back(), &shares);
  std::vector<size_t> order(seen.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return seen[a] < seen[b]; });
  const double narrowest = width / std::min(100.0, 2.0 + static_cast<double>(seen.size()));
  for (size_t k = 0; k < order.size(); ++k) {
    // The ends of the range are no neighbours, unless there is no other.
    const double here = seen[order[k]];
    const bool first = k == 0, last = k + 1 == order.size();
    const double before = first ? here + 0.5 : here - seen[order[k - 1]],
                 after = last ? width - 0.5 - here : seen[order[k + 1]] - here;
    const double away = first == last ? std::max(before, after) : first ? after : before;
    AddKernel(here, std::clamp(away, narrowest, width), weights[order[k]], &shares);
  }
  return shares;
}

}  // namespace thimble::search
