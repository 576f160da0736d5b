// Which of transformers' tokenizer classes reads a directory: they take different files for true.
#pragma once
#include <string>

namespace thimble::data {

enum class TokenizerClass {
  kBert,      // pieces of tokenizer.json or vocab.txt; options and added tokens of tokenizer_config.json
  kConvBert,  // tokenizer.json as it is, if it is there, with the special tokens of tokenizer_config.json
  kWholeFile  // tokenizer.json as it is
};

struct TokenizerChoice {
  TokenizerClass kind = TokenizerClass::kBert;
  std::string name = "BertTokenizer";  // for messages
  std::string path;                    // the file that says so; empty where none does
};

// tokenizer_class of tokenizer_config.json, else of config.json, else what belongs to config.json's
// model_type. Where none of them says anything, tokenizer.json is read as it is, vocab.txt as a BERT's.
// Error (exit 2) with the name for a class of another kind of tokenizer.
TokenizerChoice ChooseTokenizerClass(const std::string& directory);

}  // namespace thimble::data
