#include "search/pareto.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace thimble::search {
namespace {

std::vector<int> Order(size_t count) {
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

// Of points by rising first cost, two costs.
double Area(const std::vector<Costs>& points, const Costs& reference) {
  double area = 0, height = reference[1];
  for (const Costs& point : points) {
    if (point[1] >= height) continue;
    area += (reference[0] - point[0]) * (height - point[1]);
    height = point[1];
  }
  return area;
}

}  // namespace

bool Dominates(const Costs& a, const Costs& b) {
  bool better = false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] > b[i]) return false;
    better = better || a[i] < b[i];
  }
  return better;
}

std::vector<int> ParetoFront(const std::vector<Costs>& points) {
  // In order of the costs, whatever dominates a point stands before it; of equal points the earlier does.
  auto order = Order(points.size());
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return points[a] < points[b]; });
  std::vector<int> front;
  for (const int i : order)
    if (std::none_of(front.begin(), front.end(),
                     [&](int j) { return points[j] == points[i] || Dominates(points[j], points[i]); }))
      front.push_back(i);
  std::stable_sort(front.begin(), front.end(),
                   [&](int a, int b) { return points[a].back() < points[b].back(); });
  return front;
}

std::vector<int> FrontsOf(const std::vector<Costs>& points) {
  const auto count = static_cast<int>(points.size());
  std::vector<std::vector<int>> dominated(count);
  std::vector<int> dominators(count, 0), fronts(count, 0), current;
  for (int i = 0; i < count; ++i)
    for (int j = 0; j < count; ++j)
      if (Dominates(points[i], points[j])) {
        dominated[i].push_back(j);
        ++dominators[j];
      }
  for (int i = 0; i < count; ++i)
    if (dominators[i] == 0) current.push_back(i);
  for (int front = 0; !current.empty(); ++front) {
    std::vector<int> next;
    for (const int i : current) {
      fronts[i] = front;
      for (const int j : dominated[i])
        if (--dominators[j] == 0) next.push_back(j);
    }
    current = std::move(next);
  }
  return fronts;
}

std::vector<double> CrowdingDistances(const std::vector<Costs>& front) {
  std::vector<double> distances(front.size(), 0);
  for (size_t cost = 0; !front.empty() && cost < front[0].size(); ++cost) {
    auto order = Order(front.size());
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return front[a][cost] < front[b][cost]; });
    const double extent = front[order.back()][cost] - front[order.front()][cost];
    if (extent <= 0) continue;
    distances[order.front()] = distances[order.back()] = HUGE_VAL;
    for (size_t k = 1; k + 1 < order.size(); ++k)
      distances[order[k]] += (front[order[k + 1]][cost] - front[order[k - 1]][cost]) / extent;
  }
  return distances;
}

double Hypervolume(std::vector<Costs> points, const Costs& reference) {
  THIMBLE_CHECK(reference.size() == 2 || reference.size() == 3, std::to_string(reference.size()) + " costs");
  const auto outside = [&](const Costs& point) {
    for (size_t i = 0; i < point.size(); ++i)
      if (!(point[i] < reference[i])) return true;
    return false;
  };
  points.erase(std::remove_if(points.begin(), points.end(), outside), points.end());
  std::sort(points.begin(), points.end());
  if (reference.size() == 2) return Area(points, reference);
  // Slices between neighbours in the third cost; in each, what lies below them.
  double volume = 0;
  std::vector<double> levels = {reference[2]};
  for (const Costs& point : points) levels.push_back(point[2]);
  std::sort(levels.begin(), levels.end());
  for (size_t k = 0; k + 1 < levels.size(); ++k) {
    std::vector<Costs> below;
    for (const Costs& point : points)
      if (point[2] <= levels[k]) below.push_back(point);
    volume += Area(below, reference) * (levels[k + 1] - levels[k]);
  }
  return volume;
}

int BestWithin(const std::vector<Costs>& points, const Costs& limits) {
  int best = -1;
  for (int i = 0; i < static_cast<int>(points.size()); ++i) {
    bool within = true;
    for (size_t k = 0; k < limits.size(); ++k) within = within && points[i][k] <= limits[k];
    if (within && (best < 0 || points[i][0] < points[best][0])) best = i;
  }
  return best;
}

}  // namespace thimble::search
