#include "models/hub/read_length.h"

#include <algorithm>

namespace thimble::models {

int ReadLength(const Settings& settings, TaskHead head, int positions) {
  const int standard = head == TaskHead::kTokens ? 384 : 512;
  const int otherwise = std::min(standard, settings.model_max_length.value_or(standard));
  return std::min(positions, settings.max_length.value_or(otherwise));
}

}  // namespace thimble::models
