// A narrow token table and a linear to the hidden width. Lan et al., ICLR 2020 (ALBERT), section 3.1.
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::embeddings {
namespace {

Value Embed(const ResolvedArchitecture& shape, Ops& ops) {
  const int width = shape.embedding.factorised().width();
  return ops.Linear("project", ops.Table("token", shape.vocabulary, width, Ids::kTokens), shape.hidden);
}

constexpr char kPython[] = R"py(class FactorisedEmbedding(Embedding):
    def __init__(self, config):
        super().__init__(config)
        self.project = nn.Linear(config.embedding_size, config.hidden_size)

    def tokens(self, ids, mask):
        return self.project(functional.embedding(ids, self.token))
)py";

}  // namespace

EmbeddingEntry factorised() { return {.embed = Embed, .python = kPython}; }

}  // namespace thimble::models::embeddings
