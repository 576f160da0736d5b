// Counting and uniform drawing of points under a bound on a sum: one option for each place, each with its
// cost.
#pragma once
#include <cstdint>
#include <limits>
#include <vector>

#include "base/random.h"

namespace thimble::search {

inline constexpr int64_t kUnbounded = std::numeric_limits<int64_t>::max();

// Dynamic programming over the places: for each suffix of them, the sums it can have and in how many
// ways. Counts are doubles: exact to 2^53 points (13 places of 16 options), rounded above. Immutable.
class FeasiblePoints {
 public:
  // Points are feasible if `low` <= sum <= `high`. Where the places have too many different sums, costs are
  // rounded up to a grid of 4096 steps of the greatest sum that is feasible: then exact() is false, none
  // above `high` is counted, some below are missed, and of those that are counted some may be below `low`.
  FeasiblePoints(std::vector<std::vector<int64_t>> costs, int64_t low, int64_t high);

  bool exact() const { return exact_; }
  double points() const { return points_; }
  double feasible() const { return Completions(0, 0); }
  int64_t smallest() const { return smallest_.front(); }
  int64_t largest() const { return largest_.front(); }

  // The index-th feasible point, index < feasible(), as one option for each place.
  std::vector<int> Point(double index) const;
  // Each feasible point equally likely. Requires feasible() > 0.
  std::vector<int> Draw(Random* random) const;

 private:
  struct Sums {
    std::vector<int64_t> sum;        // ascending, different
    std::vector<double> cumulative;  // ways to get at most sum[i]
  };

  double Completions(size_t place, int64_t spent) const;  // feasible choices for places from `place` on
  bool ListSums();                                        // fills suffixes_; false: there are too many
  void RoundUp();                                         // costs_, to a grid

  std::vector<std::vector<int64_t>> costs_;
  int64_t low_, high_;
  bool bounded_, exact_ = true;
  double points_ = 1;
  std::vector<int64_t> smallest_, largest_;  // of the sums of places from i on
  std::vector<double> combinations_;         // of places from i on
  std::vector<Sums> suffixes_;               // empty unless bounded
};

}  // namespace thimble::search
