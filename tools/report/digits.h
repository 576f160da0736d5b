// How many decimals scores are printed with: as many as tell them apart.
#pragma once
#include <vector>

#include "search/controller.h"

namespace thimble::tools {

// At least 4, at most 10; with them the smallest standard error above 0 has two digits that are not 0, or,
// where there is none, the smallest value three. Up to two more where a value would be 0.0000 otherwise.
int DigitsFor(const std::vector<double>& values, const std::vector<double>& errors);
// Digits that the scored trials' scores are worth; the median of their standard errors stands for all.
int DigitsOf(const search::StageResult& stage);

}  // namespace thimble::tools
