// Which tokens of texts stay where a limit leaves no room for all, as `tokenizers` decides it.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

namespace thimble::data {

// How many tokens of each text stay when together they may have `room`: its LongestFirst.
std::pair<size_t, size_t> Truncate(size_t first, size_t second, size_t room);

// The windows [begin, end) of `size` tokens when `keep` fit, each repeating `stride` tokens of the one
// before. Nothing fits: an empty window, then one with everything.
std::vector<std::pair<size_t, size_t>> Windows(size_t size, size_t keep, size_t stride);

}  // namespace thimble::data
