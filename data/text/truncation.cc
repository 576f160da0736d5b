#include "data/text/truncation.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace thimble::data {

std::pair<size_t, size_t> Truncate(size_t first, size_t second, size_t room) {
  if (first + second <= room) return {first, second};
  const size_t shorter = std::min(first, second);
  const size_t half = room / 2;
  const size_t low = std::min(shorter, half);
  return first > second ? std::pair{room - low, low} : std::pair{low, room - low};
}

std::vector<std::pair<size_t, size_t>> Windows(size_t size, size_t keep, size_t stride) {
  if (keep >= size) return {{0, size}};
  if (keep == 0) return {{0, 0}, {0, size}};
  if (stride >= keep)
    throw BadRequest("stride", "not below the tokens that fit into a window", std::to_string(stride),
                     "below " + std::to_string(keep));
  std::vector<std::pair<size_t, size_t>> windows;
  for (size_t begin = 0;; begin += keep - stride) {
    windows.emplace_back(begin, std::min(size, begin + keep));
    if (begin + keep >= size) return windows;
  }
}

}  // namespace thimble::data
