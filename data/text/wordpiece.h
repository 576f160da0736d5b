// BERT's WordPiece tokenizer, uncased or cased; ids and offsets are those of Hugging Face's
// BertTokenizerFast. Thread-safe after construction.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace thimble::data {

struct Offset {
  uint32_t begin = 0, end = 0;  // bytes of the text; 0, 0 of a token that is not from it

  bool operator==(const Offset&) const = default;
};

struct Encoding {
  std::vector<int32_t> ids;       // [CLS] a [SEP], or [CLS] a [SEP] b [SEP]
  std::vector<int32_t> segments;  // 0 up to and including the [SEP] after a, then 1
  std::vector<Offset> offsets;    // of the text that the token is of; only where asked for
};

struct PieceList {
  std::vector<int32_t> ids;
  std::vector<Offset> offsets;  // only where asked for
};

enum class Truncation { kLongestFirst, kOnlyFirst, kOnlySecond };

struct EncodeOptions {
  int max_length = 512;
  Truncation truncation = Truncation::kLongestFirst;
  bool offsets = false;
  bool overflow = false;  // also what was cut off, in windows of the same length
  int stride = 0;         // tokens that a window repeats of the one before it
};

class WordPiece {
 public:
  // Reads vocab.txt (a path, or a directory that holds it) and, beside it, tokenizer_config.json for
  // do_lower_case, strip_accents, tokenize_chinese_chars and added tokens; or tokenizer.json (a path, or in a
  // directory without vocab.txt). Error (exit 2) if a file is missing, empty, not UTF-8, of another kind of
  // tokenizer, has a duplicate, or lacks [PAD] [UNK] [CLS] [SEP].
  explicit WordPiece(const std::string& path);
  ~WordPiece();
  WordPiece(WordPiece&&) noexcept;
  WordPiece& operator=(WordPiece&&) noexcept;

  // Word pieces of one text, without [CLS] and [SEP] around it. A special token spelt in the text ("[SEP]")
  // gives its id.
  std::vector<int32_t> Pieces(std::string_view text) const;
  PieceList PiecesWithOffsets(std::string_view text) const;
  // Cut from the end to max_length tokens, [CLS] and [SEP] included: first the longer text down to the
  // other's length, then both to half the room each, the odd token going to the text that was longer, to the
  // second if they were equal. `second` is ignored unless `pair`.
  Encoding Encode(std::string_view first, std::string_view second, bool pair, int max_length) const;
  // The first is what Encode gives; then, with `overflow`, the windows over what was cut off, in the order of
  // `tokenizers`. Error where only one text may be cut and is too short for it.
  std::vector<Encoding> EncodeAll(std::string_view first, std::string_view second, bool pair,
                                  const EncodeOptions& options) const;

  int size() const;
  int pad() const;
  int begin() const;      // [CLS]
  int separator() const;  // [SEP]
  int mask() const;       // [MASK], -1 where the vocabulary has none
  // Not the first piece of a word.
  bool Continues(int32_t id) const;
  bool IsSpecial(int32_t id) const;
  const std::string& Token(int32_t id) const;
  const std::string& hash() const;  // of all that ids follow from: vocabulary, special tokens, options

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The same offsets in Unicode characters, as Python counts them.
std::vector<Offset> InCharacters(std::string_view text, std::vector<Offset> offsets);

}  // namespace thimble::data
