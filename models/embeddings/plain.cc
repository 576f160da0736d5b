// BERT's: one token table at the hidden width. Devlin et al., NAACL 2019.
#include "models/encoder/kinds.h"

namespace thimble::models::embeddings {
namespace {

Value Embed(const ResolvedArchitecture& shape, Ops& ops) {
  return ops.Table("token", shape.vocabulary, shape.hidden, Ids::kTokens);
}

constexpr char kPython[] = R"py(class PlainEmbedding(Embedding):
    def tokens(self, ids, mask):
        return functional.embedding(ids, self.token)
)py";

}  // namespace

EmbeddingEntry plain() { return {.embed = Embed, .bert = true, .python = kPython}; }

}  // namespace thimble::models::embeddings
