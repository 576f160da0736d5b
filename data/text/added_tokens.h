// Tokens added to a vocabulary, which are looked for in a text before it is cut into word pieces: the
// AddedVocabulary of Hugging Face's `tokenizers`.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "data/text/basic_tokenizer.h"

namespace thimble::data {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool single_word = false;  // not where a letter, digit or underscore stands beside it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = false;   // looked for in the cleaned and folded text
  bool special = false;      // steers the model, as [CLS] does; is not a word
  std::string form;          // how it is spelt in the text where it is looked for

  bool operator==(const AddedToken&) const = default;
};

// Gives added tokens their ids as `tokenizers` does: that of the vocabulary's piece that is spelt so, else
// the number of the vocabulary's pieces and on. Where ids have gaps, a piece may have that id already, and of
// two tokens with one id the later is found in texts (in the form of the earlier, if only that one changes
// when it is normalized).
class AddedTokenList {
 public:
  explicit AddedTokenList(const std::unordered_map<std::string, int32_t>* pieces) : pieces_(pieces) {}

  // One call of `add_tokens`: where the new ids begin is decided once. A token that is there already takes
  // the new flags, but stays special. Ids and forms of `tokens` are not looked at; empty ones are left out.
  void Add(const std::vector<AddedToken>& tokens, const BasicTokenizer& normalizer);
  bool Finds(const std::string& content) const;
  int32_t IdOf(const std::string& content) const;  // of the piece, where none was added; -1 without either
  std::vector<AddedToken> tokens() const;          // that are found, by id

 private:
  const std::unordered_map<std::string, int32_t>* pieces_;
  std::map<int32_t, AddedToken> found_;
  std::map<int32_t, std::string> forms_;  // of normalized tokens that are spelt otherwise
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_set<std::string> special_;
};

// Finds tokens in a text from left to right; of several at one place the longest.
class TokenFinder {
 public:
  struct Found {
    int32_t id = -1;
    size_t begin = 0, end = 0;  // bytes, with the white space that the token takes
  };

  TokenFinder() = default;
  // Their forms are not empty and no two alike. `skip_special`: special tokens are text like any other.
  TokenFinder(std::vector<AddedToken> tokens, bool skip_special);

  bool empty() const { return tokens_.empty(); }
  // The next token that begins at `*at` or later, which moves behind its spelling. `done`: the end of the one
  // found before, whose white space is not taken again.
  std::optional<Found> Next(std::string_view text, size_t* at, size_t done) const;

 private:
  size_t NextStart(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;
  std::array<std::vector<uint32_t>, 256> starts_;  // of the forms by their first byte, the longest first
  int first_bytes_ = 0;                            // different ones
  char only_first_byte_ = 0;
  bool skip_special_ = false;
};

}  // namespace thimble::data
