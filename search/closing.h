// What a stage does once its trials are evaluated: it trains the study's ready checkpoint, and once more,
// with other random numbers, what cannot be told from the best. No strategy proposes these trials; they come
// last in the store.
#pragma once
#include <vector>

#include "base/difference.h"
#include "search/store.h"

namespace thimble::search {

bool IsClosing(const StoredTrial& trial);

// How much more the score of `a` is than that of `b`: in pairs where both have their rows, else as if the two
// were independent, which is a wide bound.
Difference LeadOf(const StoredTrial& a, const StoredTrial& b);

// The best complete trial and those less than two standard errors of the difference below it, the best first,
// at most `count`; none if it stands alone. A ready checkpoint is no best one.
std::vector<const StoredTrial*> CannotBeTold(const std::vector<StoredTrial>& trials, int count);

// Every trial with its repeats: value, rows and metrics are the means. A repeat that failed counts for
// nothing.
std::vector<StoredTrial> Folded(std::vector<StoredTrial> trials);

}  // namespace thimble::search
