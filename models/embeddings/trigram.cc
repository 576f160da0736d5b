// A narrow token table; the vectors of the next, the current and the previous token side by side, and a
// linear to the hidden width. Sun et al., ACL 2020 (MobileBERT), section 3.2.
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::embeddings {
namespace {

constexpr int kNeighbours = 3, kOwn = 1;

Value Embed(const ResolvedArchitecture& shape, Ops& ops) {
  constexpr char kName[] = "trigram";
  const int width = shape.embedding.trigram().width();
  // Beyond either end there is a zero vector. Padding is made zero too, else the last token's right neighbour
  // would be [PAD] in a long batch and nothing in a short one, and a row's result would depend on the rows
  // beside it.
  Value current = ops.MaskPadding(kName, ops.Table("token", shape.vocabulary, width, Ids::kTokens));
  Value next = ops.Shift(kName, current, 1), previous = ops.Shift(kName, current, -1);
  const Value all = ops.Concat(kName, {std::move(next), std::move(current), std::move(previous)});
  return ops.Linear("project", all, shape.hidden, {.in_parts = kNeighbours});
}

constexpr char kPython[] = R"py(class TrigramEmbedding(Embedding):
    def __init__(self, config):
        super().__init__(config)
        self.project = nn.Linear(3 * config.embedding_size, config.hidden_size)

    def tokens(self, ids, mask):
        """The next, the current and the previous token; padding and what lies beyond the ends is zero."""
        x = functional.embedding(ids, self.token)
        x = x * mask.unsqueeze(-1).to(x.dtype)
        following, previous = functional.pad(x[:, 1:], (0, 0, 0, 1)), functional.pad(x[:, :-1], (0, 0, 1, 0))
        return self.project(torch.cat([following, x, previous], -1))
)py";

}  // namespace

EmbeddingEntry trigram() { return {.embed = Embed, .own_part = kOwn, .python = kPython}; }

}  // namespace thimble::models::embeddings
