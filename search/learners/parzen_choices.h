// Parzen estimators of a choice of several values: how often each may be expected where some have been seen.
// Bergstra et al., NeurIPS 2011, with a uniform prior, the kernels and the weights of optuna's TPESampler.
#pragma once
#include <vector>

namespace thimble::search {

// Shares of `choices` values, summing to 1. `seen`: places, the oldest first; of more than 25 the older weigh
// less. Values without an order: each kernel is its own value and a little of all.
std::vector<double> ParzenShares(const std::vector<int>& seen, int choices);
// Values that stand in an order: kernels are normal densities over the places, as wide as their neighbours
// are away.
std::vector<double> OrderedParzenShares(const std::vector<int>& seen, int choices);

}  // namespace thimble::search
