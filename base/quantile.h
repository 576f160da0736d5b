#pragma once
#include <vector>

namespace thimble {

// The value below which a share of the values lies, 0 to 1; between neighbours by linear interpolation, as
// numpy.quantile. CHECK: there are values.
double Quantile(std::vector<double> values, double share);

}  // namespace thimble
