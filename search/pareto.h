// Points measured by several costs, of each the less the better: who wants more of something gives its
// negative.
#pragma once
#include <vector>

namespace thimble::search {

using Costs = std::vector<double>;

// Whether a is as good as b in everything, and better in something.
bool Dominates(const Costs& a, const Costs& b);

// Indices of the points that none dominates, by rising last cost. A point equal to an earlier one is left
// out.
std::vector<int> ParetoFront(const std::vector<Costs>& points);

// The front that each point is on: 0 if none dominates it, 1 if only those of front 0 do, and so on.
// Deb et al., IEEE Transactions on Evolutionary Computation 2002 (NSGA-II), section III.A.
std::vector<int> FrontsOf(const std::vector<Costs>& points);

// How far apart the neighbours of each point of a front are in each cost, as a share of the front's extent,
// summed; infinite for the ends. Those of a front without extent are 0. The same, section III.B.
std::vector<double> CrowdingDistances(const std::vector<Costs>& front);

// What the points dominate of the box below `reference`, exactly; points that are not below it count for
// nothing. Two or three costs.
double Hypervolume(std::vector<Costs> points, const Costs& reference);

// The least in its first cost of the points with none above `limits`, the first of equals; -1: there is none.
int BestWithin(const std::vector<Costs>& points, const Costs& limits);

}  // namespace thimble::search
