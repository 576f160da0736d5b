#include "data/text/characters.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>

namespace thimble::data {
namespace {

// `tokenizers` takes general categories from tables of Unicode 8, whatever the version of its other tables.
// So a character that came later has no category, and the few that changed theirs since keep the old one.
bool HasOldCategory(UChar32 c) {
  UVersionInfo age;
  u_charAge(c, age);
  return age[0] >= 1 && age[0] <= 8;
}

}  // namespace

bool HasOldForm(UChar32 c) {
  UVersionInfo age;
  u_charAge(c, age);
  return age[0] >= 1 && age[0] <= 9;
}

bool IsNonspacingMark(UChar32 c) {
  switch (c) {
    case 0x1734:  // Mn then, Mc now
      return true;
    case 0x1885:  // Lo then, Mn now
    case 0x1886:
    case 0xA9BD:   // Mc then
    case 0x111C9:  // Po then
      return false;
    default:
      return u_charType(c) == U_NON_SPACING_MARK && HasOldCategory(c);
  }
}

bool IsPunctuation(UChar32 c) {
  // BERT takes every ASCII sign for punctuation, "$" and "^" too.
  if (c < 0x80)
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  if (c == 0x166D || c == 0x111C9) return true;  // Po then, So and Mn now
  return (U_GET_GC_MASK(c) & U_GC_P_MASK) != 0 && HasOldCategory(c);
}

bool IsSpace(UChar32 c) { return u_isUWhiteSpace(c); }

bool IsDropped(UChar32 c) {
  if (c == 0xFFFD) return true;
  if (c == '\t' || c == '\n' || c == '\r') return false;
  constexpr uint32_t kOther = U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK;
  return (U_GET_GC_MASK(c) & kOther) != 0 && HasOldCategory(c);
}

// 2B920 for the start of Extension E (2B820) is what the released tokenizers do.
bool IsChinese(UChar32 c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

// Annex C of Unicode Technical Standard 18.
bool IsWordCharacter(UChar32 c) {
  constexpr uint32_t kMask = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  return u_isUAlphabetic(c) || (U_GET_GC_MASK(c) & kMask) != 0 || u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL);
}

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    UChar32 c;
    U8_NEXT(text.data(), i, text.size(), c);
    if (c < 0) return false;
  }
  return true;
}

UChar32 LastCharacter(std::string_view text) {
  const size_t kept = std::min(text.size(), size_t{U8_MAX_LENGTH});
  const char* tail = text.data() + text.size() - kept;
  auto i = static_cast<int32_t>(kept);
  if (i == 0) return -1;
  UChar32 c;
  U8_PREV(tail, 0, i, c);
  return c;
}

std::string_view WithoutTrailingSpace(std::string_view text) {
  for (UChar32 last; (last = LastCharacter(text)) >= 0 && IsSpace(last);) text.remove_suffix(U8_LENGTH(last));
  return text;
}

}  // namespace thimble::data
