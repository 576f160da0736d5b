#include "tools/report/agreement.h"

#include <cmath>
#include <cstdint>

namespace thimble::tools {

std::optional<double> KendallTau(const std::vector<std::pair<double, double>>& pairs) {
  if (pairs.size() < 3) return std::nullopt;
  const auto sign = [](double value) { return value > 0 ? 1 : value < 0 ? -1 : 0; };
  int64_t agree = 0, of_first = 0,
          of_second = 0;  // pairs of pairs: one way or the other, told apart by the first, by the second
  for (size_t i = 0; i < pairs.size(); ++i)
    for (size_t k = 0; k < i; ++k) {
      const int first = sign(pairs[i].first - pairs[k].first),
                second = sign(pairs[i].second - pairs[k].second);
      agree += first * second;
      of_first += first != 0, of_second += second != 0;
    }
  if (of_first == 0 || of_second == 0) return std::nullopt;
  return static_cast<double>(agree) /
         std::sqrt(static_cast<double>(of_first) * static_cast<double>(of_second));
}

}  // namespace thimble::tools
