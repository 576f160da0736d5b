#include "base/difference.h"

#include <cmath>

#include "base/error.h"

namespace thimble {

Difference PairedDifference(const std::vector<double>& a, const std::vector<double>& b) {
  THIMBLE_CHECK(a.size() == b.size() && !a.empty(), "differences of other rows");
  const auto n = static_cast<double>(a.size());
  Difference difference;
  for (size_t i = 0; i < a.size(); ++i) difference.mean += (a[i] - b[i]) / n;
  double square = 0;
  for (size_t i = 0; i < a.size(); ++i) square += std::pow(a[i] - b[i] - difference.mean, 2);
  if (n > 1) difference.standard_error = std::sqrt(square / (n - 1) / n);
  return difference;
}

}  // namespace thimble
