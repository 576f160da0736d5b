#include "search/feasible.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"

namespace thimble::search {
namespace {

constexpr size_t kMostSums = 2'000'000;  // over all suffixes: 32 MB, about 40 layers of 16 options
constexpr int64_t kGrid = 4096;
constexpr double kExactIntegers = 0x1p53;  // doubles below are exact

using Ways = std::vector<std::pair<int64_t, double>>;  // a sum and in how many ways

// Sorts `ways` by sum, given where its ascending runs start and end.
void MergeRuns(std::vector<size_t> runs, Ways* ways) {
  const auto by_sum = [](const auto& a, const auto& b) { return a.first < b.first; };
  while (runs.size() > 2) {
    std::vector<size_t> merged{0};
    for (size_t i = 2; i < runs.size(); i += 2) {
      std::inplace_merge(ways->begin() + runs[i - 2], ways->begin() + runs[i - 1], ways->begin() + runs[i],
                         by_sum);
      merged.push_back(runs[i]);
    }
    if (merged.back() != runs.back()) merged.push_back(runs.back());
    runs = std::move(merged);
  }
}

}  // namespace

FeasiblePoints::FeasiblePoints(std::vector<std::vector<int64_t>> costs, int64_t low, int64_t high)
    : costs_(std::move(costs)), low_(low), high_(high) {
  const size_t places = costs_.size();
  smallest_.assign(places + 1, 0);
  largest_.assign(places + 1, 0);
  combinations_.assign(places + 1, 1);
  for (size_t i = places; i-- > 0;) {
    const auto [least, most] = std::minmax_element(costs_[i].begin(), costs_[i].end());
    smallest_[i] = smallest_[i + 1] + *least;
    largest_[i] = largest_[i + 1] + *most;
    combinations_[i] = combinations_[i + 1] * static_cast<double>(costs_[i].size());
  }
  points_ = combinations_[0];
  bounded_ = low_ > smallest_[0] || high_ < largest_[0];
  if (!bounded_ || ListSums()) return;
  exact_ = false;
  RoundUp();
  THIMBLE_CHECK(ListSums(), "more sums than a grid has");
}

void FeasiblePoints::RoundUp() {
  const int64_t step = std::max<int64_t>(1, std::min(high_, largest_[0]) / kGrid);
  for (auto& options : costs_)
    for (int64_t& cost : options) cost = (cost + step - 1) / step * step;
}

bool FeasiblePoints::ListSums() {
  const size_t places = costs_.size();
  // What the places before i can take, to leave out sums that no choice of theirs completes.
  std::vector<int64_t> least_before(places + 1, 0), most_before(places + 1, 0);
  for (size_t i = 0; i < places; ++i) {
    const auto [least, most] = std::minmax_element(costs_[i].begin(), costs_[i].end());
    least_before[i + 1] = least_before[i] + *least;
    most_before[i + 1] = most_before[i] + *most;
  }
  suffixes_.assign(places + 1, {});
  suffixes_[places] = {{0}, {1}};
  size_t total = 0;
  for (size_t i = places; i-- > 0;) {
    const Sums& rest = suffixes_[i + 1];
    if (costs_[i].size() * rest.sum.size() > 4 * kMostSums) return false;
    Ways ways;
    std::vector<size_t> runs{0};  // each option's sums ascend
    for (const int64_t cost : costs_[i]) {
      for (size_t j = 0; j < rest.sum.size(); ++j) {
        const int64_t sum = rest.sum[j] + cost;
        if (sum + most_before[i] >= low_ && sum + least_before[i] <= high_)
          ways.emplace_back(sum, rest.cumulative[j] - (j > 0 ? rest.cumulative[j - 1] : 0));
      }
      runs.push_back(ways.size());
    }
    MergeRuns(std::move(runs), &ways);
    Sums& sums = suffixes_[i];
    double cumulative = 0;
    for (size_t j = 0; j < ways.size(); ++j) {
      cumulative += ways[j].second;
      if (j + 1 < ways.size() && ways[j + 1].first == ways[j].first) continue;
      sums.sum.push_back(ways[j].first);
      sums.cumulative.push_back(cumulative);
    }
    total += sums.sum.size();
    if (total > kMostSums) return false;
  }
  return true;
}

double FeasiblePoints::Completions(size_t place, int64_t spent) const {
  if (!bounded_) return combinations_[place];
  const Sums& sums = suffixes_[place];
  const auto first = std::lower_bound(sums.sum.begin(), sums.sum.end(), low_ - spent) - sums.sum.begin();
  const auto end = std::upper_bound(sums.sum.begin(), sums.sum.end(), high_ - spent) - sums.sum.begin();
  if (first >= end) return 0;
  // Above 2^53 the difference may round to 0 although there is a way.
  return std::max(1.0, sums.cumulative[end - 1] - (first > 0 ? sums.cumulative[first - 1] : 0));
}

std::vector<int> FeasiblePoints::Point(double index) const {
  std::vector<int> point;
  int64_t spent = 0;
  for (size_t i = 0; i < costs_.size(); ++i) {
    int chosen = -1;
    for (size_t option = 0; option < costs_[i].size(); ++option) {
      const double ways = Completions(i + 1, spent + costs_[i][option]);
      if (ways == 0) continue;
      chosen = static_cast<int>(option);
      if (index < ways) break;
      index -= ways;
    }
    THIMBLE_CHECK(chosen >= 0, "place " + std::to_string(i));
    spent += costs_[i][chosen];
    point.push_back(chosen);
  }
  return point;
}

std::vector<int> FeasiblePoints::Draw(Random* random) const {
  const double count = feasible();
  return Point(count < kExactIntegers ? static_cast<double>(random->Below(static_cast<uint64_t>(count)))
                                      : random->Uniform() * count);
}

}  // namespace thimble::search
