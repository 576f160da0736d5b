#include "data/text/basic_tokenizer.h"

#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>

#include "base/error.h"
#include "data/text/characters.h"
#include "data/text/fold.h"

namespace thimble::data {
namespace {

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

void NormalizedText::Clear() {
  bytes.clear();
  begins.clear();
  ends.clear();
}

void NormalizedText::Append(std::string_view text, uint32_t begin, uint32_t end) {
  bytes.append(text);
  begins.resize(bytes.size(), begin);
  ends.resize(bytes.size(), end);
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
  const std::vector<Mark> folded = Fold({{c, 0, 1}}, options_.strip_accents, options_.lower_case);
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
        return SplitSlow(text, words);
    }
  }
  writer.EndWord();
}

// The definition, of which the table of characters is a shortcut: clean the whole text, fold it, cut it.
void BasicTokenizer::SplitSlow(std::string_view text, Words* words) const {
  NormalizedText normalized;
  NormalizeSlow(text, &normalized);
  SplitNormalized(normalized, 0, normalized.bytes.size(), words);
}

void BasicTokenizer::NormalizeSlow(std::string_view text, NormalizedText* normalized) const {
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
  normalized->Clear();
  for (const Mark& mark : Fold(std::move(clean), options_.strip_accents, options_.lower_case)) {
    char bytes[U8_MAX_LENGTH];
    int32_t length = 0;
    U8_APPEND_UNSAFE(bytes, length, mark.c);
    normalized->Append({bytes, static_cast<size_t>(length)}, mark.begin, mark.end);
  }
}

void BasicTokenizer::Normalize(std::string_view text, NormalizedText* normalized) const {
  THIMBLE_CHECK(text.size() < INT32_MAX, std::to_string(text.size()) + " bytes");
  normalized->Clear();
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) {
    const auto begin = static_cast<uint32_t>(i);
    UChar32 c;
    U8_NEXT(text.data(), i, size, c);
    if (c < 0) continue;
    const auto end = static_cast<uint32_t>(i);
    const Character& character = Find(c);
    if (character.kind == kDrop) continue;
    if (character.kind == kSlow) return NormalizeSlow(text, normalized);
    const bool spaced = options_.space_chinese && IsChinese(c);
    if (spaced || character.kind == kSpace) normalized->Append(" ", begin, end);
    if (character.kind == kSpace) continue;
    normalized->Append({character.text.data(), character.bytes}, begin, end);
    if (spaced) normalized->Append(" ", begin, end);
  }
}

void BasicTokenizer::SplitNormalized(const NormalizedText& text, size_t begin, size_t end,
                                     Words* words) const {
  Writer<true> writer(words);
  for (size_t i = begin; i < end;) {
    const size_t at = i;
    UChar32 c;
    U8_NEXT(text.bytes.data(), i, end, c);
    const bool alone = IsPunctuation(c);
    if (alone || c == ' ') writer.EndWord();
    if (c == ' ') continue;
    writer.Append(text.bytes.data() + at, i - at, 1, text.begins[at], text.ends[at]);
    if (alone) writer.EndWord();
  }
  writer.EndWord();
}

}  // namespace thimble::data
