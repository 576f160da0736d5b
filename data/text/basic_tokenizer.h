// The first half of BERT's tokenizer: cleans a text and cuts it into words and punctuation marks, as the
// normalizer and pre-tokenizer of Hugging Face's `tokenizers` do.
#pragma once
#include <unicode/umachine.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace thimble::data {

struct BasicOptions {
  bool lower_case = true;
  bool strip_accents = true;  // NFD, then nonspacing marks are dropped
  bool space_chinese = true;  // each CJK ideograph is a word
};

// The words of one text, in UTF-8 one after the other; kept from text to text so that memory is reused.
struct Words {
  struct Word {
    uint32_t begin = 0, end = 0;  // bytes of `bytes`
    uint32_t characters = 0;
  };
  std::string bytes;
  std::vector<Word> words;
  // For each byte of `bytes`, where in the text the character stands that it comes from; only where asked
  // for.
  std::vector<uint32_t> begins, ends;
};

// A text cleaned and folded, not yet cut: what is to be looked for in a text in that form is looked for here.
struct NormalizedText {
  std::string bytes;  // UTF-8; white space is ' ', and stands around Chinese characters where they are words
  std::vector<uint32_t> begins, ends;  // for each byte, where in the text the character is that it comes from

  void Clear();
  void Append(std::string_view text, uint32_t begin, uint32_t end);
};

// Thread-safe: what it knows of a character is computed when the character is first met, 256 at a time.
class BasicTokenizer {
 public:
  explicit BasicTokenizer(const BasicOptions& options);
  ~BasicTokenizer();

  // Replaces the contents of `words`. Bytes that are not UTF-8 are dropped, like U+FFFD.
  void Split(std::string_view text, bool offsets, Words* words) const;
  // The two halves of Split with offsets: replaces the contents of `normalized`; the words of its bytes
  // [begin, end).
  void Normalize(std::string_view text, NormalizedText* normalized) const;
  void SplitNormalized(const NormalizedText& text, size_t begin, size_t end, Words* words) const;

 private:
  enum Kind : uint8_t { kPart, kAlone, kSpace, kDrop, kSlow };
  struct Character {
    Kind kind = kDrop;
    uint8_t bytes = 0, characters = 0;
    std::array<char, 13> text{};  // what stands for it in a word
  };
  using Page = std::array<Character, 256>;

  const Character& Find(UChar32 c) const;
  Character Describe(UChar32 c) const;
  template <bool kOffsets>
  void SplitText(std::string_view text, Words* words) const;
  void SplitSlow(std::string_view text, Words* words) const;
  void NormalizeSlow(std::string_view text, NormalizedText* normalized) const;

  BasicOptions options_;
  std::array<char, 256> letters_{};  // what stands for an ASCII letter or digit in a word; 0 for other bytes
  mutable std::mutex mutex_;
  mutable std::array<std::atomic<const Page*>, 0x110000 / 256> pages_{};
};

}  // namespace thimble::data
