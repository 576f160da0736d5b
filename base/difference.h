// How much two lists of scores differ, item by item: in pairs the noise that both share is gone.
#pragma once
#include <vector>

namespace thimble {

// Mean and standard error of a - b.
struct Difference {
  double mean = 0, standard_error = 0;
};
// CHECK: as many of each, at least one.
Difference PairedDifference(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace thimble
