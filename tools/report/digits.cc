#include "tools/report/digits.h"

#include <algorithm>
#include <cmath>

namespace thimble::tools {
namespace {

constexpr int kLeast = 4, kMost = 10;

// The smallest size above 0; 0: there is none.
double Smallest(const std::vector<double>& values) {
  double smallest = 0;
  for (const double value : values)
    if (const double size = std::abs(value);
        size > 0 && std::isfinite(size) && (smallest == 0 || size < smallest))
      smallest = size;
  return smallest;
}

// Decimals with which `value` has so many digits from its first on.
int Decimals(double value, int digits) {
  return std::clamp(digits - 1 - static_cast<int>(std::floor(std::log10(value))), kLeast, kMost);
}

}  // namespace

int DigitsFor(const std::vector<double>& values, const std::vector<double>& errors) {
  const double error = Smallest(errors), value = Smallest(values);
  if (error == 0) return value > 0 ? Decimals(value, 3) : kLeast;
  // What is much smaller than its error is near enough as 0.0000.
  return value > 0 ? std::clamp(Decimals(value, 1), Decimals(error, 2), Decimals(error, 2) + 2)
                   : Decimals(error, 2);
}

int DigitsOf(const search::StageResult& stage) {
  std::vector<double> values, errors;
  for (const auto& trial : stage.trials)
    if (trial.trial.scored()) {
      values.push_back(trial.trial.value);
      if (trial.trial.standard_error > 0) errors.push_back(trial.trial.standard_error);
    }
  if (!errors.empty()) {
    const auto middle = errors.begin() + static_cast<int64_t>(errors.size() / 2);
    std::nth_element(errors.begin(), middle, errors.end());
    errors = {*middle};
  }
  return DigitsFor(values, errors);
}

}  // namespace thimble::tools
