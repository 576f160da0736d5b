// BERT's WordPiece tokenizer, uncased or cased; the ids are those of Hugging Face's BertTokenizerFast.
// Thread-safe after construction.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace thimble::data {

struct Encoding {
  std::vector<int32_t> ids;       // [CLS] a [SEP], or [CLS] a [SEP] b [SEP]
  std::vector<int32_t> segments;  // 0 up to and including the [SEP] after a, then 1
};

class WordPiece {
 public:
  // Reads vocab.txt (a path, or a directory that holds it) and, beside it, tokenizer_config.json for
  // do_lower_case, strip_accents and tokenize_chinese_chars. Error (exit 2) if it is missing, empty, not
  // UTF-8, has a duplicate, or lacks [PAD] [UNK] [CLS] [SEP].
  explicit WordPiece(const std::string& path);
  ~WordPiece();
  WordPiece(WordPiece&&) noexcept;
  WordPiece& operator=(WordPiece&&) noexcept;

  // Word pieces of one text, without [CLS] and [SEP] around it. A special token spelt in the text ("[SEP]")
  // gives its id.
  std::vector<int32_t> Pieces(std::string_view text) const;
  // Cut from the end to max_length tokens, [CLS] and [SEP] included: first the longer text down to the
  // other's length, then both to half the room each, the odd token going to the text that was longer, to the
  // second if they were equal. `second` is ignored unless `pair`.
  Encoding Encode(std::string_view first, std::string_view second, bool pair, int max_length) const;

  int size() const;
  int pad() const;
  const std::string& Token(int32_t id) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace thimble::data
