#include "search/pareto.h"

#include <algorithm>
#include <numeric>

namespace thimble::search {

std::vector<int> ParetoFront(const std::vector<Point>& points) {
  std::vector<int> order(points.size());
  std::iota(order.begin(), order.end(), 0);
  // Of equal cost the best first, of equal points the earlier: then a point is on the front if it is better
  // than all before.
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return points[a].cost != points[b].cost ? points[a].cost < points[b].cost
                                            : points[a].quality > points[b].quality;
  });
  std::vector<int> front;
  for (const int i : order)
    if (front.empty() || points[i].quality > points[front.back()].quality) front.push_back(i);
  return front;
}

}  // namespace thimble::search
