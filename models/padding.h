// Rows of tokens as one batch.
#pragma once
#include <cstdint>
#include <vector>

#include "models/model.h"

namespace thimble::models {

struct TokenRow {
  const std::vector<int32_t>& ids;
  const std::vector<int32_t>& segments;  // as many
};

// ids, segments and mask, padded to the longest row, or to `length` where that is longer, with token 0,
// BERT's [PAD]; the mask keeps it out of every result, whatever it is. CHECK: there is a row.
Batch PadRows(const std::vector<TokenRow>& rows, int length = 0);

}  // namespace thimble::models
