// Classes of characters as BERT's tokenizer sees them.
#pragma once
#include <unicode/umachine.h>

#include <string_view>

namespace thimble::data {

// `tokenizers` decomposes by tables of Unicode 9: what came later stays as it is and where it stands among
// marks.
bool HasOldForm(UChar32 c);
bool IsNonspacingMark(UChar32 c);
bool IsPunctuation(UChar32 c);
bool IsSpace(UChar32 c);
// Asked before IsSpace: U+000B, U+000C and U+0085 are white space and control characters, and are dropped.
bool IsDropped(UChar32 c);
// CJK ideographs and their compatibility forms. Hangul, Hiragana and Katakana are written like other
// alphabets.
bool IsChinese(UChar32 c);
// \w of a regular expression: letters, marks, digits, connectors.
bool IsWordCharacter(UChar32 c);

bool IsUtf8(std::string_view text);
UChar32 LastCharacter(std::string_view text);  // negative where there is none or it is not UTF-8
std::string_view WithoutTrailingSpace(std::string_view text);

}  // namespace thimble::data
