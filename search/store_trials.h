// Trials in the tables of Optuna's schema: what the store (search/store.h) writes and reads within its
// transactions.
#pragma once
#include <vector>

#include "search/sqlite.h"
#include "search/store.h"

namespace thimble::search {

// What `spec` varies are Optuna's parameters, the rest user attributes; rows' scores a system attribute.
void InsertTrial(Database& db, int stage, const StoredTrial& stored, const proto::Stage& spec,
                 const proto::Space& space);
// In number order. Error (exit 2) of a trial that thimble did not write.
std::vector<StoredTrial> ReadTrials(Database& db, int stage);

}  // namespace thimble::search
