// What the small files beside a vocabulary say of its tokens and options: tokenizer_config.json,
// special_tokens_map.json and added_tokens.json, with the precedence of transformers 5.23.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/text/stated_token.h"

namespace thimble::data {

struct NamedToken {
  std::string name;                  // "cls_token"
  std::optional<StatedToken> token;  // nothing: set to null
};

// The tokens with a name that every tokenizer knows, in the order of transformers.
extern const std::vector<std::string> kTokenNames;

struct TokenSettings {
  std::string path;             // of tokenizer_config.json, whether it is there or not
  std::string tokenizer_class;  // as written; may be empty
  std::optional<bool> lower_case, strip_accents, space_chinese;
  bool split_special = false;
  bool token_types = true;        // false: model_input_names leaves them out
  std::vector<NamedToken> named;  // those that a file names
  std::vector<StatedToken> extra;
  std::map<int64_t, StatedToken> by_id;
  // All that the files say, taken or not, for comparison with the outcome.
  std::vector<TokenIds> stated_ids;
  std::vector<std::pair<std::string, NamedToken>> stated_names;  // with the file
};

// The files in `directory`; any may be absent. `fast`: the added tokens of tokenizer.json. Error (exit 2)
// with the file's name where transformers fails too, and for what it does and thimble does not: texts cut at
// their start, tokenizers made by positional arguments or of another version's files.
TokenSettings ReadTokenSettings(const std::string& directory, const TokenIds& fast);

}  // namespace thimble::data
