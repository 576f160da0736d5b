#include "models/arch/cost.h"

namespace thimble::models {
namespace {

int64_t Encoder(const Shape& shape) {
  int64_t total = EmbeddingParameters(shape);
  for (const LayerShape& layer : shape.layers)
    total += AttentionParameters(shape) + BottleneckParameters(shape) +
             FeedForwardParameters(shape.block_width(), layer.width, layer.stacks);
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

int64_t AttentionParameters(const Shape& shape) {
  const int64_t width = shape.block_width();
  return 3 * Linear(width, width) + Linear(shape.value_input(), width) + 2 * width;
}

int64_t BottleneckParameters(const Shape& shape) {
  if (shape.bottleneck == 0) return 0;
  const int64_t hidden = shape.hidden, width = shape.bottleneck;
  return (shape.share_query_key ? 2 : 1) * (Linear(hidden, width) + 2 * width) + Linear(width, hidden) +
         2 * hidden;
}

int64_t FeedForwardParameters(int outer, int width, int stacks) {
  return stacks * (Linear(outer, width) + Linear(width, outer) + 2 * static_cast<int64_t>(outer));
}

int64_t MultiplyAdds(const Shape& shape, int length) {
  const int64_t hidden = shape.hidden, width = shape.block_width();
  const int64_t around = shape.bottleneck == 0 ? 0 : (shape.share_query_key ? 3 : 2) * hidden * width;
  const int64_t attention = (3 * width + shape.value_input()) * width + 2 * length * width;
  int64_t total = length * static_cast<int64_t>(shape.projected()) * hidden;
  for (const LayerShape& layer : shape.layers)
    total += length * (around + attention + layer.stacks * 2 * width * layer.width);
  return total;
}

}  // namespace thimble::models
