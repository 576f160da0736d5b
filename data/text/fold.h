// Accents and case of a text, each character with the bytes of the text that it stands for.
#pragma once
#include <unicode/umachine.h>

#include <cstdint>
#include <vector>

namespace thimble::data {

// A character of the text as it is being cleaned, and the bytes of the text that it stands for.
struct Mark {
  UChar32 c;
  uint32_t begin, end;
};

// Folds a text that is already cleaned. Accents go by canonical decomposition, with marks sorted by class.
std::vector<Mark> Fold(std::vector<Mark> text, bool strip_accents, bool lower_case);

}  // namespace thimble::data
