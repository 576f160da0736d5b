#include "base/quantile.h"

#include <algorithm>

#include "base/error.h"

namespace thimble {

double Quantile(std::vector<double> values, double share) {
  THIMBLE_CHECK(!values.empty() && share >= 0 && share <= 1, "a quantile of values");
  std::sort(values.begin(), values.end());
  const double at = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

}  // namespace thimble
