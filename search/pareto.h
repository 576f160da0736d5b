// Which of several measured points no other one beats in everything.
#pragma once
#include <vector>

namespace thimble::search {

struct Point {
  double quality = 0;  // higher is better
  double cost = 0;     // lower is better
};
// Indices of the non-dominated points, by rising cost. A point equal to an earlier one in both is left out.
std::vector<int> ParetoFront(const std::vector<Point>& points);

}  // namespace thimble::search
