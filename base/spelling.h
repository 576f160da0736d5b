// What a misspelt name most likely stands for.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace thimble {

// The first of `names` with the fewest edits (a letter more, less or another, two neighbours swapped) from
// `word`. Empty if that takes more than one edit for every three letters of the longer one.
std::string NearestName(std::string_view word, const std::vector<std::string>& names);

// "; did you mean NAME?" to end a message with; empty if no name is near.
std::string DidYouMean(std::string_view word, const std::vector<std::string>& names);

}  // namespace thimble
