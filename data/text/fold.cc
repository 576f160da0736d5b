#include "data/text/fold.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>

#include "base/error.h"
#include "data/text/characters.h"

namespace thimble::data {
namespace {

const icu::Normalizer2& Nfd() {
  static const icu::Normalizer2* nfd = [] {
    UErrorCode status = U_ZERO_ERROR;
    const auto* instance = icu::Normalizer2::getNFDInstance(status);
    THIMBLE_CHECK(U_SUCCESS(status), u_errorName(status));
    return instance;
  }();
  return *nfd;
}

// Canonical decomposition. Marks are sorted by class, and what stands where keeps its bytes of the text as
// `tokenizers` has it: each first character of a decomposition takes the next source character, each further
// one that of its predecessor, both counted after sorting.
std::vector<Mark> Decompose(const std::vector<Mark>& text) {
  struct Part {
    UChar32 c;
    uint8_t combining;
    bool first;
  };
  std::vector<Part> parts;
  icu::UnicodeString decomposed;
  auto add = [&](UChar32 c, bool first) {
    parts.push_back({c, HasOldForm(c) ? u_getCombiningClass(c) : uint8_t{0}, first});
  };
  for (const Mark& mark : text) {
    if (!HasOldForm(mark.c) || !Nfd().getDecomposition(mark.c, decomposed)) {
      add(mark.c, true);
      continue;
    }
    for (int i = 0; i < decomposed.length(); i = decomposed.moveIndex32(i, 1))
      add(decomposed.char32At(i), i == 0);
  }
  for (size_t begin = 0; begin < parts.size();) {
    size_t end = begin + 1;
    if (parts[begin].combining != 0) {
      while (end < parts.size() && parts[end].combining != 0) ++end;
      std::stable_sort(parts.begin() + static_cast<std::ptrdiff_t>(begin),
                       parts.begin() + static_cast<std::ptrdiff_t>(end),
                       [](const Part& a, const Part& b) { return a.combining < b.combining; });
    }
    begin = end;
  }
  std::vector<Mark> result;
  result.reserve(parts.size());
  size_t taken = 0;
  for (const Part& part : parts) {
    if (part.first) ++taken;
    result.push_back(taken == 0 ? Mark{part.c, 0, 0}
                                : Mark{part.c, text[taken - 1].begin, text[taken - 1].end});
  }
  return result;
}

}  // namespace

std::vector<Mark> Fold(std::vector<Mark> text, bool strip_accents, bool lower_case) {
  if (strip_accents) {
    text = Decompose(text);
    std::erase_if(text, [](const Mark& mark) { return IsNonspacingMark(mark.c); });
  }
  if (!lower_case) return text;
  // Each character by itself, so a final capital sigma becomes U+03C3.
  std::vector<Mark> lower;
  lower.reserve(text.size());
  for (const Mark& mark : text) {
    lower.push_back({u_tolower(mark.c), mark.begin, mark.end});
    if (mark.c == 0x130) lower.push_back({0x307, mark.begin, mark.end});  // the one whose lower case is two
  }
  return lower;
}

}  // namespace thimble::data
