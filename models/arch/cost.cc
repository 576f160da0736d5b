#include "models/arch/cost.h"

namespace thimble::models {
namespace {

int64_t Encoder(const Shape& shape) {
  int64_t total = EmbeddingParameters(shape);
  for (const LayerShape& layer : shape.layers)
    total +=
        AttentionParameters(shape.hidden) + FeedForwardParameters(shape.hidden, layer.width, layer.stacks);
  return total;
}

int64_t Linear(int64_t in, int64_t out) { return in * out + out; }

}  // namespace

int64_t DeployedParameters(const Shape& shape, int classes, Head head) {
  if (classes == 0) return Encoder(shape);
  if (head == Head::kTokens) return Encoder(shape) + Linear(shape.hidden, classes);
  return Encoder(shape) + Linear(shape.hidden, shape.pooler) + Linear(shape.pooler, classes);
}

int64_t PaperParameters(const Shape& shape, int teacher_hidden) {
  return Encoder(shape) + Linear(shape.hidden, teacher_hidden);
}

int64_t EmbeddingParameters(const Shape& shape) {
  const int64_t hidden = shape.hidden;
  const int64_t projection = shape.projected() > 0 ? Linear(shape.projected(), hidden) : 0;
  return static_cast<int64_t>(shape.vocabulary) * shape.embedding_width() + projection +
         (shape.positions + static_cast<int64_t>(shape.segments)) * hidden + 2 * hidden;
}

int64_t AttentionParameters(int hidden) {
  return 4 * Linear(hidden, hidden) + 2 * static_cast<int64_t>(hidden);
}

int64_t FeedForwardParameters(int hidden, int width, int stacks) {
  return stacks * (Linear(hidden, width) + Linear(width, hidden) + 2 * static_cast<int64_t>(hidden));
}

int64_t MultiplyAdds(const Shape& shape, int length) {
  const int64_t hidden = shape.hidden;
  int64_t total = length * static_cast<int64_t>(shape.projected()) * hidden;
  for (const LayerShape& layer : shape.layers)
    total += length * (4 * hidden * hidden + 2 * length * hidden + layer.stacks * 2 * hidden * layer.width);
  return total;
}

}  // namespace thimble::models
