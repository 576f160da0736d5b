// Optuna's tables (RDB storage, revision v3.2.0.a).
#pragma once
#include "search/sqlite.h"

namespace thimble::search {

// Makes the tables in an empty file; Error (exit 2) if the file holds anything else than this revision.
void CheckOrCreateSchema(Database& database);

}  // namespace thimble::search
