#include "models/padding.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"

namespace thimble::models {

Batch PadRows(const std::vector<TokenRow>& rows, int at_least) {
  THIMBLE_CHECK(!rows.empty(), "a batch without rows");
  const auto size = static_cast<int64_t>(rows.size());
  int64_t length = at_least;
  for (const TokenRow& row : rows) length = std::max(length, static_cast<int64_t>(row.ids.size()));
  Batch batch{.ids = at::zeros({size, length}, at::kLong),
              .segments = at::zeros({size, length}, at::kLong),
              .mask = at::zeros({size, length}, at::kFloat)};
  auto* ids = batch.ids.mutable_data_ptr<int64_t>();
  auto* segments = batch.segments.mutable_data_ptr<int64_t>();
  auto* mask = batch.mask.mutable_data_ptr<float>();
  for (const TokenRow& row : rows) {
    std::copy(row.ids.begin(), row.ids.end(), ids);
    std::copy(row.segments.begin(), row.segments.end(), segments);
    std::fill_n(mask, row.ids.size(), 1.0f);
    ids += length;
    segments += length;
    mask += length;
  }
  return batch;
}

}  // namespace thimble::models
