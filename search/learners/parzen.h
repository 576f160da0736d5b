// A Parzen estimator of one number in [0, 1], and a search that is made of them: the tree-structured Parzen
// estimator of Bergstra et al., NeurIPS 2011, over a cube.
#pragma once
#include <vector>

#include "base/random.h"

namespace thimble::search {

// Normal densities cut off at 0 and 1, one around each point and a broad one around the middle, all of one
// weight. A point's is as broad as the further of its two neighbours is away (section 4), at least 1 / (1 +
// points).
class Parzen {
 public:
  explicit Parzen(std::vector<double> points);

  double LogDensity(double x) const;
  double Draw(Random* random) const;

 private:
  struct Bump {
    double mean, deviation, mass;  // mass: within [0, 1]
  };
  std::vector<Bump> bumps_;
};

// Looks for the least loss in the unit cube, each dimension by itself.
class ParzenSearch {
 public:
  ParzenSearch(int dimensions, Random random) : dimensions_(dimensions), random_(random) {}

  std::vector<double> Ask();
  void Tell(std::vector<double> point, double loss) { trials_.push_back({std::move(point), loss}); }

 private:
  struct Trial {
    std::vector<double> point;
    double loss;
  };

  int dimensions_;
  Random random_;
  std::vector<Trial> trials_;
};

}  // namespace thimble::search
