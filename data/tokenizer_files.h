// Tokenizer files of Hugging Face: vocab.txt with tokenizer_config.json, or tokenizer.json.
#pragma once
#include <string>
#include <vector>

#include "data/basic_tokenizer.h"

namespace thimble::data {

struct TokenizerFiles {
  std::string path;                  // of the vocabulary, for messages
  std::vector<std::string> tokens;   // by id
  std::vector<std::string> special;  // found in a text as they are spelt
  BasicOptions options;
};

// `path`: vocab.txt, tokenizer.json or a directory that holds one of them; vocab.txt goes first. A file of
// another kind of tokenizer is refused with its name.
TokenizerFiles ReadTokenizerFiles(const std::string& path);

}  // namespace thimble::data
