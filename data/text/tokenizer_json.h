// tokenizer.json of Hugging Face's `tokenizers`, where it holds a WordPiece model.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/text/basic_tokenizer.h"
#include "data/text/stated_token.h"

namespace thimble::data {

struct TokenizerJson {
  std::string path;
  std::unordered_map<std::string, int32_t> pieces;  // of the model
  std::string unknown;                              // its unk_token
  TokenIds added;
  BasicOptions options;  // of the normalizer
  std::optional<std::pair<int32_t, int32_t>>
      around;  // [CLS] and [SEP] of the post-processor, where there is one
  // Parts that are not a BERT's, as "model.unk_token is "?""; only where they need not be understood.
  std::vector<std::string> foreign;
};

// `whole`: the file alone says how texts are cut, and what thimble cannot do of it is an Error (exit 2) with
// the part's name. Else only its model's pieces and its added tokens matter.
TokenizerJson ReadTokenizerJson(const std::string& path, bool whole);

}  // namespace thimble::data
