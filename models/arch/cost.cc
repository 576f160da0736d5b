#include "models/arch/cost.h"

#include <algorithm>
#include <vector>

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

constexpr int64_t kFloat = sizeof(float);

// What the linears of a model come to, the head's left out.
struct Linears {
  int64_t count = 0, numbers = 0, outputs = 0, inputs = 0;

  void Add(int64_t in, int64_t out, bool shares_input = false) {
    ++count;
    numbers += in * out;
    outputs += out;
    if (!shares_input) inputs += in;
  }
};

Linears LinearsOf(const Shape& shape, bool pooler) {
  Linears all;
  if (shape.projected() > 0) all.Add(shape.projected(), shape.hidden);
  const int64_t width = shape.block_width();
  for (const LayerShape& layer : shape.layers) {
    if (shape.bottleneck > 0) all.Add(shape.hidden, width);
    if (shape.share_query_key) all.Add(shape.hidden, width, true);
    all.Add(width, width);
    all.Add(width, width, true);
    all.Add(shape.value_input(), width, true);
    all.Add(width, width);
    for (int stack = 0; stack < layer.stacks; ++stack) {
      all.Add(width, layer.width);
      all.Add(layer.width, width);
    }
    if (shape.bottleneck > 0) all.Add(width, shape.hidden);
  }
  if (pooler) all.Add(shape.hidden, shape.pooler);
  return all;
}

int64_t Norms(const Shape& shape) {
  int64_t count = 1;
  for (const LayerShape& layer : shape.layers)
    count += 1 + layer.stacks + (shape.bottleneck == 0 ? 0 : shape.share_query_key ? 3 : 2);
  return count;
}

// Of each node its width.
std::vector<int64_t> Widths(const Expression& expression, int64_t outer, int64_t inner) {
  std::vector<int64_t> widths;
  for (const Node& node : expression.nodes()) {
    if (node.op == Operator::kInput || node.op == Operator::kLinear2)
      widths.push_back(outer);
    else if (node.op == Operator::kLinear1)
      widths.push_back(inner);
    else if (IsBinary(node.op))
      widths.push_back(std::min(widths[node.left], widths[node.right]));
    else
      widths.push_back(widths[node.left]);
  }
  return widths;
}

// Channels of the values, x aside, that the gradients of a block are computed from.
int64_t KeptChannels(const Expression& expression, int64_t outer, int64_t inner) {
  const std::vector<Node>& nodes = expression.nodes();
  const std::vector<int64_t> widths = Widths(expression, outer, inner);
  std::vector<bool> kept(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    switch (nodes[i].op) {
      case Operator::kInput:
      case Operator::kAdd:
        break;
      case Operator::kTanh:
      case Operator::kSigmoid:
      case Operator::kRelu:
        kept[i] = true;  // their gradients are functions of their results
        break;
      case Operator::kMul:
      case Operator::kMax:
        kept[nodes[i].right] = true;
        [[fallthrough]];
      default:
        kept[nodes[i].left] = true;
    }
  }
  int64_t channels = 0;
  for (size_t i = 0; i < nodes.size(); ++i)
    if (kept[i] && nodes[i].op != Operator::kInput) channels += widths[i];
  return channels;
}

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

FileBytes WrittenBytes(const Shape& shape, int classes, Head head) {
  // Names, types and sizes: of a tensor in safetensors' JSON and in ONNX, of a node of the graph.
  constexpr int64_t kHeader = 100, kInitializer = 50, kNode = 110;
  constexpr int64_t kAttentionNodes = 13, kLinearNodes = 2, kInt8Nodes = 5;
  const bool pooler = classes > 0 && head == Head::kPooled;
  const Linears linears = LinearsOf(shape, pooler);
  const int64_t numbers = DeployedParameters(shape, classes, head), norms = Norms(shape);
  const int64_t heads = classes > 0 ? 1 : 0, tables = 3;
  const int64_t tensors = tables + 2 * (linears.count + norms + heads);
  int64_t nodes = kAttentionNodes * static_cast<int64_t>(shape.layers.size()) +
                  kLinearNodes * (linears.count + heads) + 2 * norms;
  for (const LayerShape& layer : shape.layers)
    nodes += layer.stacks * static_cast<int64_t>(layer.expression.nodes().size());
  FileBytes bytes;
  bytes.safetensors = kFloat * numbers + kHeader * tensors;
  bytes.onnx = kFloat * numbers + kInitializer * tensors + kNode * nodes;
  const int64_t table = static_cast<int64_t>(shape.vocabulary) * shape.embedding_width();
  bytes.onnx_int8 = bytes.onnx - (kFloat - 1) * (table + linears.numbers) +
                    kFloat * (shape.vocabulary + linears.outputs + linears.inputs) +
                    (kInt8Nodes * kNode + 2 * kInitializer) * linears.count;
  return bytes;
}

int64_t TrainingBytes(const Shape& shape, int batch, int length) {
  const int64_t tokens = static_cast<int64_t>(batch) * length, width = shape.block_width();
  const int64_t statistics = shape.no_norm ? 0 : 2;
  int64_t channels = shape.projected() + 2 * shape.hidden + statistics;
  for (const LayerShape& layer : shape.layers) {
    // What queries and keys read is kept, what attention is added to only where they read that.
    if (shape.bottleneck > 0) channels += 2 * width + statistics;
    if (shape.share_query_key) channels += width + statistics;
    channels += 4 * width + 2 * width + statistics;
    channels += layer.stacks * (KeptChannels(layer.expression, width, layer.width) + 2 * width + statistics);
    if (shape.bottleneck > 0) channels += 2 * shape.hidden + statistics;
  }
  const int64_t shares =
      2 * static_cast<int64_t>(shape.layers.size()) * batch * shape.heads * length * length;
  return kFloat * (tokens * channels + shares);
}

int64_t InferenceBytes(const Shape& shape, int batch, int length) {
  const int64_t hidden = shape.hidden, width = shape.block_width();
  // A trigram's tokens, masked, shifted both ways, and the three side by side.
  const int64_t neighbours = shape.trigram > 0 ? 7 * shape.trigram : 0;
  int64_t most = std::max(neighbours, std::max<int64_t>(shape.projected() + hidden, 4 * hidden));
  const int64_t read = shape.bottleneck == 0 ? 0 : shape.share_query_key ? 2 * width : width;
  for (const LayerShape& layer : shape.layers) {
    most = std::max(most, hidden + read + 4 * width);
    int64_t values = 0;
    const std::vector<int64_t> widths = Widths(layer.expression, width, layer.width);
    for (size_t i = 0; i < widths.size(); ++i)
      if (layer.expression.nodes()[i].op != Operator::kInput) values += widths[i];
    const int64_t before = hidden + 2 * width;  // the layer's input, attention's output and its linear's
    // All values of the expression, or the last of them with its sum and norm.
    most = std::max(most, before + width + std::max(values, 3 * width));
    if (shape.bottleneck > 0) most = std::max(most, before + width + 3 * hidden);
  }
  return kFloat * batch * length * most;
}

}  // namespace thimble::models
