// A narrow token table and a linear to the hidden width. Lan et al., ICLR 2020 (ALBERT), section 3.1.
#include "models/encoder/kinds.h"

namespace thimble::models {

Value FactorisedEmbedding(const Shape& shape, Ops& ops) {
  return ops.Linear("project", ops.Table("token", shape.vocabulary, shape.factorised, Ids::kTokens),
                    shape.hidden);
}

}  // namespace thimble::models
