#include "base/spelling.h"

#include <algorithm>

namespace thimble {
namespace {

// Damerau, 1964, in the restricted form: no letter is edited twice.
size_t Edits(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> edits(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        edits[i][j] = i + j;
        continue;
      }
      const size_t replaced = edits[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      edits[i][j] = std::min({replaced, edits[i - 1][j] + 1, edits[i][j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        edits[i][j] = std::min(edits[i][j], edits[i - 2][j - 2] + 1);
    }
  }
  return edits[a.size()][b.size()];
}

}  // namespace

std::string NearestName(std::string_view word, const std::vector<std::string>& names) {
  constexpr size_t kLongest = 64;  // of a name; what is longer is no misspelt one
  if (word.size() > kLongest) return "";
  std::string nearest;
  size_t fewest = kLongest;
  for (const auto& name : names) {
    const size_t edits = Edits(word, name);
    if (edits >= fewest || edits * 3 > std::max(word.size(), name.size())) continue;
    fewest = edits;
    nearest = name;
  }
  return nearest;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& names) {
  const std::string nearest = NearestName(word, names);
  return nearest.empty() ? "" : "; did you mean " + nearest + "?";
}

}  // namespace thimble
