#include "data/basic_tokenizer.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>

#include "base/error.h"

namespace thimble::data {
namespace {

// `tokenizers` takes general categories from tables of Unicode 8, whatever the version of its other tables.
// So a character that came later has no category, and the few that changed theirs since keep the old one.
bool HasOldCategory(UChar32 c) {
  UVersionInfo age;
  u_charAge(c, age);
  return age[0] >= 1 && age[0] <= 8;
}

// Its normalization goes by tables of Unicode 9: what came later is not decomposed and stays where it stands
// among marks.
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

// Asked before IsSpace: U+000B, U+000C and U+0085 are white space and control characters, and are dropped.
bool IsDropped(UChar32 c) {
  if (c == 0xFFFD) return true;
  if (c == '\t' || c == '\n' || c == '\r') return false;
  constexpr uint32_t kOther = U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK;
  return (U_GET_GC_MASK(c) & kOther) != 0 && HasOldCategory(c);
}

// CJK ideographs and their compatibility forms. Hangul, Hiragana and Katakana are written like other
// alphabets. 2B920 for the start of Extension E (2B820) is what the released tokenizers do.
bool IsChinese(UChar32 c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

const icu::Normalizer2& Nfd() {
  static const icu::Normalizer2* nfd = [] {
    UErrorCode status = U_ZERO_ERROR;
    const auto* instance = icu::Normalizer2::getNFDInstance(status);
    THIMBLE_CHECK(U_SUCCESS(status), u_errorName(status));
    return instance;
  }();
  return *nfd;
}

// A character of the text as it is being cleaned, and the bytes of the text that it stands for.
struct Mark {
  UChar32 c;
  uint32_t begin, end;
};

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

// Accents and case, of a text already cleaned.
std::vector<Mark> Fold(std::vector<Mark> text, const BasicOptions& options) {
  if (options.strip_accents) {
    text = Decompose(text);
    std::erase_if(text, [](const Mark& mark) { return IsNonspacingMark(mark.c); });
  }
  if (!options.lower_case) return text;
  // Each character by itself, so a final capital sigma becomes U+03C3.
  std::vector<Mark> lower;
  lower.reserve(text.size());
  for (const Mark& mark : text) {
    lower.push_back({u_tolower(mark.c), mark.begin, mark.end});
    if (mark.c == 0x130) lower.push_back({0x307, mark.begin, mark.end});  // the one whose lower case is two
  }
  return lower;
}

// Grows the last word or begins one; bytes between words do not occur.
template <bool kOffsets>
class Writer {
 public:
  explicit Writer(Words* words) : words_(words) {
    words->bytes.clear();
    words->words.clear();
    words->begins.clear();
    words->ends.clear();
  }
  // All of it comes from the bytes [begin, end) of the text.
  void Append(const char* text, size_t bytes, uint32_t characters, uint32_t begin, uint32_t end) {
    words_->bytes.append(text, bytes);
    characters_ += characters;
    if constexpr (kOffsets) {
      words_->begins.insert(words_->begins.end(), bytes, begin);
      words_->ends.insert(words_->ends.end(), bytes, end);
    }
  }
  void AppendLetters(std::string_view text, const std::array<char, 256>& letters, uint32_t at) {
    const size_t begin = words_->bytes.size();
    words_->bytes.append(text);
    for (size_t i = begin; i < words_->bytes.size(); ++i) {
      words_->bytes[i] = letters[static_cast<uint8_t>(words_->bytes[i])];
    }
    characters_ += static_cast<uint32_t>(text.size());
    if constexpr (kOffsets) {
      words_->begins.resize(words_->bytes.size());
      words_->ends.resize(words_->bytes.size());
      for (size_t i = begin; i < words_->bytes.size(); ++i) {
        words_->begins[i] = at++;
        words_->ends[i] = at;
      }
    }
  }
  void EndWord() {
    if (characters_ == 0) return;
    const auto end = static_cast<uint32_t>(words_->bytes.size());
    words_->words.push_back({begin_, end, characters_});
    begin_ = end;
    characters_ = 0;
  }

 private:
  Words* words_;
  uint32_t begin_ = 0, characters_ = 0;
};

}  // namespace

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    UChar32 c;
    U8_NEXT(text.data(), i, text.size(), c);
    if (c < 0) return false;
  }
  return true;
}

BasicTokenizer::BasicTokenizer(const BasicOptions& options) : options_(options) {
  for (int c = 0; c < 0x80; ++c) {
    if (Find(c).kind == kPart) letters_[c] = Find(c).text[0];
  }
}

BasicTokenizer::~BasicTokenizer() {
  for (auto& page : pages_) delete page.load(std::memory_order_relaxed);
}

BasicTokenizer::Character BasicTokenizer::Describe(UChar32 c) const {
  if (IsDropped(c)) return {.kind = kDrop};
  if (IsSpace(c)) return {.kind = kSpace};
  const std::vector<Mark> folded = Fold({{c, 0, 1}}, options_);
  Character character{.kind = options_.space_chinese && IsChinese(c) ? kAlone : kPart};
  icu::UnicodeString wide;
  for (const Mark& part : folded) {
    if (IsPunctuation(part.c)) character.kind = folded.size() == 1 ? kAlone : kSlow;
    // NFD sorts runs of combining marks. That shows only where one of them outlives the stripping.
    if (options_.strip_accents && u_getCombiningClass(part.c) != 0) return {.kind = kSlow};
    wide.append(part.c);
  }
  std::string text;
  wide.toUTF8String(text);
  if (text.empty()) return {.kind = kDrop};
  if (text.size() > character.text.size()) return {.kind = kSlow};
  std::copy(text.begin(), text.end(), character.text.begin());
  character.bytes = static_cast<uint8_t>(text.size());
  character.characters = static_cast<uint8_t>(folded.size());
  return character;
}

const BasicTokenizer::Character& BasicTokenizer::Find(UChar32 c) const {
  auto& slot = pages_[c >> 8];
  const Page* page = slot.load(std::memory_order_acquire);
  if (page == nullptr) {
    const std::lock_guard lock(mutex_);
    page = slot.load(std::memory_order_relaxed);
    if (page == nullptr) {
      auto fresh = std::make_unique<Page>();
      for (int i = 0; i < 256; ++i) (*fresh)[i] = Describe((c & ~0xFF) + i);
      page = fresh.release();
      slot.store(page, std::memory_order_release);
    }
  }
  return (*page)[c & 0xFF];
}

void BasicTokenizer::Split(std::string_view text, bool offsets, Words* words) const {
  THIMBLE_CHECK(text.size() < INT32_MAX, std::to_string(text.size()) + " bytes");
  offsets ? SplitText<true>(text, words) : SplitText<false>(text, words);
}

template <bool kOffsets>
void BasicTokenizer::SplitText(std::string_view text, Words* words) const {
  Writer<kOffsets> writer(words);
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) {
    int32_t end = i;
    while (end < size && letters_[static_cast<uint8_t>(text[end])] != 0) ++end;
    if (end > i) {
      writer.AppendLetters(text.substr(i, end - i), letters_, i);
      i = end;
      continue;
    }
    const int32_t begin = i;
    UChar32 c;
    U8_NEXT(text.data(), i, size, c);
    if (c < 0) continue;
    const Character& character = Find(c);
    switch (character.kind) {
      case kPart:
        writer.Append(character.text.data(), character.bytes, character.characters, begin, i);
        break;
      case kAlone:
        writer.EndWord();
        writer.Append(character.text.data(), character.bytes, character.characters, begin, i);
        writer.EndWord();
        break;
      case kSpace:
        writer.EndWord();
        break;
      case kDrop:
        break;
      case kSlow:
        return SplitSlow<kOffsets>(text, words);
    }
  }
  writer.EndWord();
}

// The definition, of which the table of characters is a shortcut: clean the whole text, fold it, cut it.
template <bool kOffsets>
void BasicTokenizer::SplitSlow(std::string_view text, Words* words) const {
  std::vector<Mark> clean;
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) {
    const auto begin = static_cast<uint32_t>(i);
    UChar32 c;
    U8_NEXT(text.data(), i, size, c);
    if (c < 0 || IsDropped(c)) continue;
    const auto end = static_cast<uint32_t>(i);
    const bool spaced = options_.space_chinese && IsChinese(c);
    if (spaced) clean.push_back({' ', begin, end});
    clean.push_back({IsSpace(c) ? ' ' : c, begin, end});
    if (spaced) clean.push_back({' ', begin, end});
  }
  Writer<kOffsets> writer(words);
  for (const Mark& mark : Fold(std::move(clean), options_)) {
    const bool alone = IsPunctuation(mark.c);
    if (alone || mark.c == ' ') writer.EndWord();
    if (mark.c == ' ') continue;
    char bytes[U8_MAX_LENGTH];
    int32_t length = 0;
    U8_APPEND_UNSAFE(bytes, length, mark.c);
    writer.Append(bytes, length, 1, mark.begin, mark.end);
    if (alone) writer.EndWord();
  }
  writer.EndWord();
}

}  // namespace thimble::data
