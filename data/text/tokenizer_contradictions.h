// Finds where files of one tokenizer contradict each other.
#pragma once
#include <string>
#include <vector>

#include "data/text/token_settings.h"
#include "data/text/tokenizer_class.h"
#include "data/text/tokenizer_files.h"
#include "data/text/tokenizer_json.h"
#include "data/text/vocabulary_file.h"

namespace thimble::data {

// A sentence for each pair of files that say different things, with both files and the one that is taken.
// `names`: the tokens with names as they are taken. `json`, `vocabulary`: null where the file is not there.
std::vector<std::string> FindContradictions(const TokenizerFiles& taken, const std::vector<NamedToken>& names,
                                            const TokenSettings& settings, const TokenizerChoice& choice,
                                            const TokenizerJson* json, const VocabularyFile* vocabulary);

}  // namespace thimble::data
