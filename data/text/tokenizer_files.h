// What the files of a directory say of its tokenizer: vocab.txt, tokenizer.json, tokenizer_config.json,
// special_tokens_map.json, added_tokens.json, and tokenizer_class and model_type of config.json.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/text/added_tokens.h"
#include "data/text/basic_tokenizer.h"

namespace thimble::data {

struct TokenizerFiles {
  std::string path;                                 // of the vocabulary, for messages
  std::unordered_map<std::string, int32_t> pieces;  // of words; ids may have gaps
  std::vector<AddedToken> added;                    // found in a text before it is cut into words; by id
  int32_t size = 0;                                 // above every id that a file gives
  int32_t pad = 0, unknown = 0, begin = 0, separator = 0;
  int32_t mask = -1;           // -1 where no file has one
  bool split_special = false;  // special tokens spelt in a text are words like others
  BasicOptions options;
  std::vector<std::string> warnings;  // files that contradict one another, and which of them is taken
};

// `path`: a directory, read as AutoTokenizer of transformers 5.23 reads it; vocab.txt, with the small files
// beside it; or tokenizer.json alone. Error (exit 2) with the file's name for another kind of tokenizer, for
// what thimble cannot do, and where [PAD] [UNK] [CLS] [SEP], or the tokens named in their stead, are missing.
TokenizerFiles ReadTokenizerFiles(const std::string& path);

}  // namespace thimble::data
