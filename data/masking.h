// Masked language modelling: which tokens are hidden and what must be found there. Devlin et al., 2019,
// section 3.1.
#pragma once
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "data/dataset.h"
#include "data/text/wordpiece.h"

namespace thimble::proto {
class Masking;
}

namespace thimble::data {

struct Masked {
  std::vector<int32_t> ids;      // what the model reads
  std::vector<int32_t> targets;  // the token that was there, where it is to be predicted; -1 elsewhere
};

// Error (exit 2) where the vocabulary has no [MASK], or mask and replace are more than all.
void CheckMasking(const WordPiece& tokenizer, const proto::Masking& masking);

// A pure function of its arguments. round(share * tokens) tokens are predicted, special tokens never; at
// least one where there is any. With whole words the pieces of a word go together, and words are taken while
// their pieces fit into that number (the first always does). Errors of CheckMasking.
Masked Mask(const Example& example, const WordPiece& tokenizer, const proto::Masking& masking, Random random);

}  // namespace thimble::data
