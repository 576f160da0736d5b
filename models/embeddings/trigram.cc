// A narrow token table; the vectors of the next, the current and the previous token side by side, and a
// linear to the hidden width. Sun et al., ACL 2020 (MobileBERT), section 3.2.
#include "models/encoder/kinds.h"

namespace thimble::models {

Value TrigramEmbedding(const Shape& shape, Ops& ops) {
  constexpr int kNeighbours = 3;
  constexpr char kName[] = "trigram";
  // Beyond either end there is a zero vector. Padding is made zero too, else the last token's right neighbour
  // would be [PAD] in a long batch and nothing in a short one, and a row's result would depend on the rows
  // beside it.
  Value current = ops.MaskPadding(kName, ops.Table("token", shape.vocabulary, shape.trigram, Ids::kTokens));
  Value next = ops.Shift(kName, current, 1), previous = ops.Shift(kName, current, -1);
  const Value all = ops.Concat(kName, {std::move(next), std::move(current), std::move(previous)});
  return ops.Linear("project", all, shape.hidden, kNeighbours);
}

}  // namespace thimble::models
