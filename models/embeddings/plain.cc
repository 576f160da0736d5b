// BERT's: one token table at the hidden width. Devlin et al., NAACL 2019.
#include "models/encoder/kinds.h"

namespace thimble::models {

Value PlainEmbedding(const Shape& shape, Ops& ops) {
  return ops.Table("token", shape.vocabulary, shape.hidden, Ids::kTokens);
}

}  // namespace thimble::models
