// The forward pass. Post-LN encoder as BERT (Devlin et al., NAACL 2019) with the trigram embedding,
// bottlenecks and NoNorm of MobileBERT (Sun et al., ACL 2020, sections 3.1, 3.2 and 3.4) and the searched
// feed-forward blocks of EfficientBERT (Dong et al., EMNLP Findings 2021).
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "models/model.h"
#include "models/torch/kernels/dropout.h"
#include "models/torch/layer.h"
#include "models/torch/products.h"

namespace thimble::models {
namespace {

// Added to the scores of padded keys. Finite, as BERT's: a row of padding alone stays free of NaN, and
// exp(-10000) is 0.
constexpr double kMasked = -10000;

std::string LayerName(int layer) { return "layer." + std::to_string(layer); }
std::string BlockName(int layer, int stack) { return LayerName(layer) + ".ffn." + std::to_string(stack); }
std::string BottleneckName(int layer, const char* part) { return LayerName(layer) + ".bottleneck." + part; }

// The first `n` entries of dimension `d`: a view, through which gradients reach the shared weight.
at::Tensor First(const at::Tensor& x, int64_t d, int64_t n) {
  THIMBLE_CHECK(n <= x.size(d),
                "view of " + std::to_string(n) + " of " + std::to_string(x.size(d)) + " channels");
  return n == x.size(d) ? x : x.narrow(d, 0, n);
}

at::Tensor Drop(const Dropout& dropout, const at::Tensor& x) {
  if (dropout.probability == 0) return x;
  THIMBLE_CHECK(dropout.random != nullptr, "dropout without a random stream");
  return kernels::Dropout(x, dropout.probability, dropout.random->Next());
}

at::Tensor Combine(Operator op, const at::Tensor& left, const at::Tensor& right) {
  const int64_t width = std::min(left.size(-1), right.size(-1));
  const at::Tensor a = First(left, -1, width), b = First(right, -1, width);
  switch (op) {
    case Operator::kAdd:
      return a + b;
    case Operator::kMul:
      return a * b;
    default:
      return at::maximum(a, b);
  }
}

}  // namespace

at::Tensor Activation(Operator op, const at::Tensor& x) {
  switch (op) {
    case Operator::kGelu:
      return at::gelu(x, "tanh");
    case Operator::kGeluErf:
      return at::gelu(x, "none");
    case Operator::kSigmoid:
      return at::sigmoid(x);
    case Operator::kTanh:
      return at::tanh(x);
    case Operator::kRelu:
      return at::relu(x);
    case Operator::kLeakyRelu:
      return at::leaky_relu(x, 0.01);
    case Operator::kElu:
      return at::elu(x);
    case Operator::kSwish:
      return at::silu(x);
    default:
      THIMBLE_CHECK(false, "not an activation: " + std::string(OperatorName(op)));
  }
  return x;
}

at::Tensor Linear(const Model& model, const std::string& prefix, const at::Tensor& x) {
  return Linear(x, model.weights.at(prefix + ".weight"), model.weights.at(prefix + ".bias"));
}

at::Tensor LayerNorm(const Model& model, const std::string& prefix, const at::Tensor& x) {
  return at::layer_norm(x, {x.size(-1)}, model.weights.at(prefix + ".weight"),
                        model.weights.at(prefix + ".bias"), model.shape.layer_norm_epsilon);
}

at::Tensor Normalise(const Model& model, const std::string& prefix, const at::Tensor& x) {
  if (!model.shape.no_norm) return LayerNorm(model, prefix, x);
  return at::addcmul(model.weights.at(prefix + ".bias"), x, model.weights.at(prefix + ".weight"));
}

at::Tensor EmbeddingInput(const Model& model, const Batch& batch) {
  const at::Tensor tokens = at::embedding(model.weights.at("embedding.token"), batch.ids);
  if (model.shape.trigram == 0) return tokens;
  // Beyond either end there is a zero vector. Padding is made zero too, else the last token's right neighbour
  // would be [PAD] in a long batch and nothing in a short one, and a row's result would depend on the rows
  // beside it.
  const at::Tensor current = tokens * batch.mask.to(tokens.scalar_type()).unsqueeze(-1);
  const at::Tensor edge = at::zeros({current.size(0), 1, current.size(2)}, current.options());
  const int64_t length = current.size(1);
  const at::Tensor next = at::cat({current.narrow(1, 1, length - 1), edge}, 1);
  const at::Tensor previous = at::cat({edge, current.narrow(1, 0, length - 1)}, 1);
  return at::cat({next, current, previous}, -1);
}

at::Tensor EmbeddingSum(const Model& model, const Batch& batch) {
  const int64_t length = batch.ids.size(1);
  if (length > model.shape.positions) {
    throw BadRequest("forward pass", "a sequence is longer than the model's position table",
                     std::to_string(length) + " tokens", "at most " + std::to_string(model.shape.positions));
  }
  at::Tensor sum = EmbeddingInput(model, batch);
  if (model.shape.projected() > 0) sum = Linear(model, "embedding.project", sum);
  return sum + First(model.weights.at("embedding.position"), 0, length) +
         at::embedding(model.weights.at("embedding.segment"), batch.segments);
}

LayerInput EnterLayer(const Model& model, int layer, const at::Tensor& x) {
  if (model.shape.bottleneck == 0) return {x, x, x};
  const auto narrow = [&](const char* part) {
    const std::string name = BottleneckName(layer, part);
    return Normalise(model, name + ".norm", Linear(model, name, x));
  };
  const at::Tensor residual = narrow("in");
  if (!model.shape.share_query_key) return {residual, residual, residual};
  return {narrow("qk"), x, residual};
}

at::Tensor LeaveLayer(const Model& model, int layer, const at::Tensor& entered, const at::Tensor& x,
                      const Dropout& dropout) {
  if (model.shape.bottleneck == 0) return x;
  const std::string out = BottleneckName(layer, "out");
  return Normalise(model, out + ".norm", entered + Drop(dropout, Linear(model, out, x)));
}

Attention Attend(const Model& model, int layer, const at::Tensor& x, const Batch& batch,
                 const ForwardOptions& options, const at::Tensor* value_input) {
  const int64_t rows = x.size(0), length = x.size(1), heads = model.shape.heads,
                width = model.shape.head_width();
  const std::string prefix = LayerName(layer) + ".attention.";
  const Projections projections = {Linear(model, prefix + "query", x), Linear(model, prefix + "key", x),
                                   Linear(model, prefix + "value", value_input ? *value_input : x)};
  auto split = [&](const at::Tensor& part) {
    return part.view({rows, length, heads, width}).transpose(1, 2);
  };
  const at::Tensor query = split(projections.query), key = split(projections.key),
                   value = split(projections.value);
  const at::Tensor mask = ((1 - batch.mask) * kMasked).to(x.scalar_type()).view({rows, 1, 1, length});
  Attention result;
  if (options.projections) result.projections = projections;
  at::Tensor context;
  if (!options.scores && options.dropout.probability == 0) {
    context = FusedAttention(query, key, value, mask);
  } else {
    const at::Tensor scores = Product(query * (1 / std::sqrt(double(width))), key.transpose(-2, -1));
    if (options.scores) result.scores = scores;
    context = Product(Drop(options.dropout, at::softmax(scores + mask, -1)), value);
  }
  result.context = context.transpose(1, 2).reshape({rows, length, heads * width});
  return result;
}

at::Tensor FeedForwardValue(const Model& model, int layer, int stack, const LayerShape& shape,
                            const at::Tensor& x, at::Tensor* second_input, at::Tensor* first_output) {
  const std::string block = BlockName(layer, stack);
  const Weights& weights = model.weights;
  std::vector<at::Tensor> values;
  for (const Node& node : shape.expression.nodes()) {
    switch (node.op) {
      case Operator::kInput:
        values.push_back(x);
        break;
      case Operator::kLinear1:
        values.push_back(Linear(values[node.left], First(weights.at(block + ".up.weight"), 0, shape.width),
                                First(weights.at(block + ".up.bias"), 0, shape.width)));
        if (first_output) *first_output = values.back();
        break;
      case Operator::kLinear2:
        if (second_input) *second_input = values[node.left];
        values.push_back(Linear(values[node.left], First(weights.at(block + ".down.weight"), 1, shape.width),
                                weights.at(block + ".down.bias")));
        break;
      case Operator::kAdd:
      case Operator::kMul:
      case Operator::kMax:
        values.push_back(Combine(node.op, values[node.left], values[node.right]));
        break;
      default:
        values.push_back(Activation(node.op, values[node.left]));
    }
  }
  return values.back();
}

// Of the tokens that are to be found (label 0 or above), in order: [hidden words, V].
at::Tensor WordScores(const Model& model, const at::Tensor& states, const at::Tensor& labels) {
  const at::Tensor places = (labels.flatten() >= 0).nonzero().flatten();
  at::Tensor x = Linear(model, "head.transform", states.flatten(0, 1).index_select(0, places));
  x = LayerNorm(model, "head.norm", at::gelu(x));
  return Linear(x, model.weights.at("embedding.token"), model.weights.at("head.bias"));
}

LayerOutputs RunLayer(const Model& model, int index, const LayerShape& layer, const at::Tensor& entered,
                      const Batch& batch, const ForwardOptions& options) {
  const std::string prefix = LayerName(index) + ".attention.";
  LayerInput input = EnterLayer(model, index, entered);
  Attention attention = Attend(model, index, input.query_key, batch, options, &input.value);
  const at::Tensor attended = Linear(model, prefix + "out", attention.context);
  at::Tensor x = Normalise(model, prefix + "norm", input.residual + Drop(options.dropout, attended));
  input = {};
  for (int s = 0; s < layer.stacks; ++s) {
    const at::Tensor value = FeedForwardValue(model, index, s, layer, x);
    x = Normalise(model, BlockName(index, s) + ".norm", x + Drop(options.dropout, value));
  }
  x = LeaveLayer(model, index, entered, x, options.dropout);
  return {x, std::move(attention.scores), std::move(attention.projections)};
}

Outputs Forward(const Model& model, const Batch& batch, const ForwardOptions& options) {
  const Shape& shape = options.candidate ? *options.candidate : model.shape;
  THIMBLE_CHECK(shape.layers.size() == model.shape.layers.size(), "candidate and model differ in depth");
  Outputs outputs;
  at::Tensor x = Drop(options.dropout, Normalise(model, "embedding.norm", EmbeddingSum(model, batch)));
  if (options.hidden) outputs.hidden.push_back(x);
  for (int i = 0; i < static_cast<int>(shape.layers.size()); ++i) {
    // What flows back into a layer's input is added up inside the layer first, recomputed or not: the same
    // bits.
    LayerOutputs layer = options.recompute
                             ? Recomputed(model, i, shape.layers[i], x, batch, options)
                             : RunLayer(model, i, shape.layers[i], at::alias(x), batch, options);
    x = layer.state;
    if (options.scores) outputs.scores.push_back(std::move(layer.scores));
    if (options.projections) outputs.projections.push_back(std::move(layer.projections));
    if (options.hidden) outputs.hidden.push_back(x);
  }
  outputs.last = x;
  if (model.classes > 0 && model.head == Head::kWords) {
    if (batch.labels.defined()) outputs.logits = WordScores(model, x, batch.labels);
  } else if (model.classes > 0 && model.head == Head::kTokens) {
    outputs.logits = Linear(model, "head", x);  // no dropout before it, as BertForQuestionAnswering
  } else if (model.classes > 0) {
    const at::Tensor pooled = at::tanh(Linear(model, "pooler", x.select(1, 0)));
    outputs.logits = Linear(model, "head", Drop(options.dropout, pooled));
  }
  return outputs;
}

}  // namespace thimble::models
