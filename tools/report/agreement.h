// Whether a score that costs little ranks as one that costs much.
#pragma once
#include <optional>
#include <utility>
#include <vector>

namespace thimble::tools {

// Kendall's tau-b, ties counted. Nothing of fewer than three pairs, or where all of one side are equal.
// Kendall, Biometrika 1945.
std::optional<double> KendallTau(const std::vector<std::pair<double, double>>& pairs);

}  // namespace thimble::tools
