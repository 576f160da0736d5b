// Trains a WordPiece vocabulary on plain text, for languages without a teacher's.
#pragma once
#include <string>
#include <vector>

#include "data/text/basic_tokenizer.h"

namespace thimble::data {

struct VocabularyOptions {
  int size = 30522;       // tokens, the special ones included
  int min_frequency = 2;  // of a pair that is joined
  int alphabet = 1000;    // characters kept, the commonest; words with others are passed over
  BasicOptions basic;
};

// [PAD] [UNK] [CLS] [SEP] [MASK], the alphabet in code point order, then joined pieces, most frequent first:
// pairs are joined by frequency as in byte-pair encoding (Sennrich et al., 2016), which is how `tokenizers`
// trains WordPiece. A pure function of the text. Files are mapped: memory grows with the number of different
// words, not with the text. Error where there is no word.
std::vector<std::string> TrainVocabulary(const std::vector<std::string>& files,
                                         const VocabularyOptions& options, int threads);

}  // namespace thimble::data
