// Tables of tokens, positions and segments at a width of their own, the norm of their sum, and a linear to
// the hidden width behind it. Clark et al., ICLR 2020 (ELECTRA), section 3.2; Jiang et al., NeurIPS 2020
// (ConvBERT).
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::embeddings {
namespace {

Value Embed(const ResolvedArchitecture& shape, Ops& ops) {
  return ops.Table("token", shape.vocabulary, shape.embedding.narrow().width(), Ids::kTokens);
}

constexpr char kPython[] = R"py(class NarrowEmbedding(Embedding):
    narrow = True

    def __init__(self, config):
        super().__init__(config)
        self.project = nn.Linear(config.embedding_size, config.hidden_size)

    def tokens(self, ids, mask):
        return functional.embedding(ids, self.token)
)py";

}  // namespace

EmbeddingEntry narrow() { return {.embed = Embed, .narrow = true, .python = kPython}; }

}  // namespace thimble::models::embeddings
