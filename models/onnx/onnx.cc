// The forward pass of model.cc as ONNX nodes, spelt so that ONNX Runtime's optimizers know the patterns:
// linears as MatMul and Add, a block's value before its residual, GELUs and the attention mask as PyTorch's
// exporter writes them. While loading, ONNX Runtime makes SkipLayerNormalization, BiasGelu, FastGelu and
// FusedMatMul of them; its offline optimizer (onnxruntime.transformers) also Attention, which while loading
// is known up to opset 12 only. Linears in eight bits are spelt as its own quantizer spells them; it makes
// DynamicQuantizeMatMul of each.
#include "models/onnx/onnx.h"

#include <torch/torch.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <limits>
#include <map>

#include "base/config.h"
#include "base/error.h"
#include "models/onnx/onnx_graph.h"
#include "models/onnx/onnx_int8.h"

namespace thimble::models {
namespace {

constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();
// Nodes, names and constants: far above what 100 layers take.
constexpr int64_t kGraphBytes = 16 << 20;
constexpr int kLargest = 127;  // in eight bits
// Weights of linears are stored from 1 to 255: kernels for CPUs without VNNI add two products of an unsigned
// activation and a signed weight in 16 bits, which saturate unless the weights have seven bits; of unsigned
// ones they do not. With smoothed inputs seven bits kept 96.8% of a student's answers on MRPC, eight 98%, for
// a sixth more time a product.
constexpr int kZero = 128;

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// The head is small, and what it rounds nothing evens out.
bool InEightBits(OnnxWeights weights, const std::string& name, const at::Tensor& tensor) {
  return weights == OnnxWeights::kInt8 && tensor.dim() == 2 && name.rfind("head.", 0) != 0 &&
         (EndsWith(name, ".weight") || name == "embedding.token");
}

class Exporter {
 public:
  Exporter(const Model& model, const OnnxOptions& options)
      : model_(model), shape_(model.shape), weights_(options.weights), graph_("thimble") {
    if (weights_ == OnnxWeights::kInt8) magnitudes_ = InputMagnitudes(model, options.typical);
  }

  OnnxGraph Run() {
    graph_.AddMetadata("architecture", CanonicalText(model_.architecture));
    if (weights_ == OnnxWeights::kInt8) graph_.AddMetadata("weights", "int8");
    ids_ = graph_.Input("input_ids", onnx::TensorProto::INT64, {"batch", "length"});
    segments_ = graph_.Input("token_type_ids", onnx::TensorProto::INT64, {"batch", "length"});
    mask_ = graph_.Input("attention_mask", onnx::TensorProto::INT64, {"batch", "length"});

    std::string x = Embed();
    const std::string bias = MaskBias();
    for (size_t layer = 0; layer < shape_.layers.size(); ++layer) {
      const std::string scope = "layer." + std::to_string(layer);
      const std::string entered = x;
      if (shape_.bottleneck > 0) x = Narrow(scope + ".bottleneck.in", entered);
      const std::string query_key = shape_.share_query_key ? Narrow(scope + ".bottleneck.qk", entered) : x;
      const std::string value = shape_.share_query_key ? entered : x;
      x = Normalise(scope + ".attention.norm", x, Attend(scope + ".attention", query_key, value, bias));
      for (int stack = 0; stack < shape_.layers[layer].stacks; ++stack) {
        const std::string block = scope + ".ffn." + std::to_string(stack);
        x = Normalise(block + ".norm", x, FeedForward(block, shape_.layers[layer], x));
      }
      const std::string out = scope + ".bottleneck.out";
      if (shape_.bottleneck > 0) x = Normalise(out + ".norm", entered, Linear(out, x));
    }
    if (model_.classes == 0) {
      graph_.Output("last_hidden_state", onnx::TensorProto::FLOAT, {"batch", "length", shape_.hidden});
      return std::move(graph_);
    }
    if (model_.head == Head::kTokens) {
      Linear("head", x);
      graph_.Output("logits", onnx::TensorProto::FLOAT, {"batch", "length", model_.classes});
      return std::move(graph_);
    }
    const std::string first = Node("Gather", "pooler", {x, graph_.Integer(0)}, {IntAttribute("axis", 1)});
    Linear("head", Node("Tanh", "pooler", {Linear("pooler", first)}));
    graph_.Output("logits", onnx::TensorProto::FLOAT, {"batch", model_.classes});
    return std::move(graph_);
  }

 private:
  std::string Node(const std::string& type, const std::string& scope, const std::vector<std::string>& inputs,
                   const std::vector<onnx::AttributeProto>& attributes = {}) {
    return graph_.Node(type, scope, inputs, attributes);
  }

  std::string Weight(const std::string& name) { return graph_.Weight(name, model_.weights.at(name)); }

  // The weight is stored as [in, out], transposed from the model's: MatMul has no transposition.
  std::string Linear(const std::string& prefix, const std::string& x) {
    const std::string name = prefix + ".weight";
    const at::Tensor& weight = model_.weights.at(name);
    const std::string product = InEightBits(weights_, name, weight)
                                    ? Int8Product(prefix, x, weight)
                                    : Node("MatMul", prefix, {x, graph_.Weight(name, weight.t())});
    return Node("Add", prefix, {product, Weight(prefix + ".bias")});
  }

  // Inputs in eight bits: numbers, scale, zero point; and what they were divided by, if anything.
  struct Int8Input {
    std::vector<std::string> names;
    at::Tensor factors;
  };

  const Int8Input& ToInt8Input(const std::string& prefix, const std::string& x) {
    const auto found = int8_inputs_.find(x);
    if (found != int8_inputs_.end()) return found->second;
    Int8Input& input = int8_inputs_[x];
    std::string value = x;
    const auto magnitudes = magnitudes_.find(prefix);
    if (magnitudes != magnitudes_.end()) {
      std::vector<at::Tensor> weights;
      for (const std::string& name : SameInput(prefix))
        weights.push_back(model_.weights.at(name + ".weight"));
      input.factors = SmoothingFactors(magnitudes->second, weights);
      value = Node("Mul", prefix + ".smooth", {x, graph_.Weight(prefix + ".smooth", 1 / input.factors)});
    }
    input.names = graph_.Nodes("DynamicQuantizeLinear", prefix, {value}, 3);
    return input;
  }

  // The linears that read what this one, the first of them, reads.
  std::vector<std::string> SameInput(const std::string& prefix) const {
    const auto others = [&](const std::string& first, const std::vector<std::string>& more) {
      std::vector<std::string> all = {prefix};
      for (const std::string& name : more)
        all.push_back(prefix.substr(0, prefix.size() - first.size()) + name);
      return all;
    };
    const std::string query = "attention.query", in = "bottleneck.in";
    if (EndsWith(prefix, query) && shape_.share_query_key) return others(query, {"attention.key"});
    if (EndsWith(prefix, query)) return others(query, {"attention.key", "attention.value"});
    if (EndsWith(prefix, in) && shape_.share_query_key)
      return others(in, {"bottleneck.qk", "attention.value"});
    return {prefix};
  }

  std::string Int8Product(const std::string& prefix, const std::string& x, const at::Tensor& weight) {
    const Int8Input& input = ToInt8Input(prefix, x);
    const Int8Matrix matrix = ToInt8(input.factors.defined() ? weight * input.factors : weight, kLargest);
    const at::Tensor numbers = (matrix.values.to(at::kShort) + kZero).to(at::kByte);
    if (zero_.empty()) zero_ = graph_.Weight("weight.zero", at::scalar_tensor(kZero, at::kByte));
    std::string product =
        Node("MatMulInteger", prefix,
             {input.names[0], graph_.Weight(prefix + ".weight", numbers.t()), input.names[2], zero_});
    product = Node("Cast", prefix, {product}, {IntAttribute("to", onnx::TensorProto::FLOAT)});
    const std::string scales = graph_.Weight(prefix + ".weight.scale", matrix.scales);
    return Node("Mul", prefix, {product, Node("Mul", prefix + ".scale", {input.names[1], scales})});
  }

  std::string TokenVectors() {
    const std::string name = "embedding.token";
    const at::Tensor& table = model_.weights.at(name);
    if (!InEightBits(weights_, name, table)) return Node("Gather", name, {Weight(name), ids_});
    const Int8Matrix matrix = ToInt8(table, kLargest);
    std::string vectors = Node("Gather", name, {graph_.Weight(name, matrix.values), ids_});
    vectors = Node("Cast", name, {vectors}, {IntAttribute("to", onnx::TensorProto::FLOAT)});
    const std::string scales = graph_.Weight(name + ".scale", matrix.scales.unsqueeze(1));
    return Node("Mul", name, {vectors, Node("Gather", name + ".scale", {scales, ids_})});
  }

  std::string LayerNorm(const std::string& prefix, const std::string& x) {
    return Node(
        "LayerNormalization", prefix, {x, Weight(prefix + ".weight"), Weight(prefix + ".bias")},
        {IntAttribute("axis", -1), FloatAttribute("epsilon", static_cast<float>(shape_.layer_norm_epsilon))});
  }

  std::string Norm(const std::string& prefix, const std::string& x) {
    if (!shape_.no_norm) return LayerNorm(prefix, x);
    return Node("Add", prefix,
                {Node("Mul", prefix, {x, Weight(prefix + ".weight")}), Weight(prefix + ".bias")});
  }

  // The norm of x + value: post-LN.
  std::string Normalise(const std::string& prefix, const std::string& x, const std::string& value) {
    return Norm(prefix, Residual(prefix, value, x));
  }

  std::string Narrow(const std::string& prefix, const std::string& x) {
    return Norm(prefix + ".norm", Linear(prefix, x));
  }

  // ONNX Runtime 1.31 makes SkipLayerNormalization of Add and LayerNormalization, which on a CPU takes longer
  // than the two: EfficientBERT in eight bits 87 ms instead of 65. GPUs and the offline optimizer's Attention
  // want it, and run float32.
  std::string Residual(const std::string& scope, const std::string& a, const std::string& b) {
    return Node(weights_ == OnnxWeights::kInt8 ? "Sum" : "Add", scope, {a, b});
  }

  std::string Slice(const std::string& scope, const std::string& x, int64_t begin, int64_t end,
                    int64_t axis) {
    return Node("Slice", scope,
                {x, graph_.Integers({begin}), graph_.Integers({end}), graph_.Integers({axis})});
  }

  // [batch, length, hidden], norm included.
  std::string Embed() {
    const std::string scope = "embedding";
    std::string x = TokenVectors();
    if (shape_.trigram > 0) x = Trigram(x);
    if (shape_.factorised > 0) x = Linear("embedding.project", x);
    const std::string segment = Node("Gather", scope + ".segment", {Weight("embedding.segment"), segments_});
    const std::string length = Node("Shape", scope + ".position", {ids_}, {IntAttribute("start", 1)});
    const std::string position =
        Node("Slice", scope + ".position",
             {Weight("embedding.position"), graph_.Integers({0}), length, graph_.Integers({0})});
    graph_.State(position, onnx::TensorProto::FLOAT, {"length", shape_.hidden});
    x = Node("Add", scope + ".position", {x, position});
    return Norm(scope + ".norm", Residual(scope + ".segment", x, segment));
  }

  // Padding counts as no neighbour: its vector is zeroed like those beyond the ends.
  std::string Trigram(const std::string& token) {
    const std::string scope = "embedding.trigram";
    const std::string real = Node("Cast", scope, {mask_}, {IntAttribute("to", onnx::TensorProto::FLOAT)});
    const std::string current =
        Node("Mul", scope, {token, Node("Unsqueeze", scope, {real, graph_.Integers({2})})});
    const std::string padded = Node("Pad", scope, {current, graph_.Integers({0, 1, 0, 0, 1, 0})});
    const std::string next = Slice(scope, padded, 2, kEnd, 1);
    const std::string previous = Slice(scope, padded, 0, -2, 1);
    const std::string all = Node("Concat", scope, {next, current, previous}, {IntAttribute("axis", 2)});
    return Linear("embedding.project", all);
  }

  // [batch, 1, 1, length]: 0 for a real token, -10000 for padding.
  std::string MaskBias() {
    const std::string scope = "attention_mask";
    std::string x = Node("Unsqueeze", scope, {mask_, graph_.Integers({1})});
    x = Node("Unsqueeze", scope, {x, graph_.Integers({2})});
    x = Node("Cast", scope, {x}, {IntAttribute("to", onnx::TensorProto::FLOAT)});
    x = Node("Sub", scope, {graph_.Float(1), x});
    return Node("Mul", scope, {x, graph_.Float(-10000)});
  }

  // Heads apart: [batch, heads, length, head width] of a linear of x, or with the last two exchanged.
  std::string Heads(const std::string& prefix, const std::string& x, const std::vector<int64_t>& order) {
    const std::string split = Node(
        "Reshape", prefix, {Linear(prefix, x), graph_.Integers({0, 0, shape_.heads, shape_.head_width()})});
    return Node("Transpose", prefix, {split}, {IntsAttribute("perm", order)});
  }

  std::string Attend(const std::string& scope, const std::string& x, const std::string& value_input,
                     const std::string& bias) {
    const std::string query = Heads(scope + ".query", x, {0, 2, 1, 3});
    const std::string key = Heads(scope + ".key", x, {0, 2, 3, 1});
    const std::string value = Heads(scope + ".value", value_input, {0, 2, 1, 3});
    std::string scores = Node("MatMul", scope + ".scores", {query, key});
    scores = Node("Div", scope + ".scores",
                  {scores, graph_.Float(static_cast<float>(std::sqrt(shape_.head_width())))});
    scores = Node("Add", scope + ".scores", {scores, bias});
    const std::string share = Node("Softmax", scope + ".scores", {scores}, {IntAttribute("axis", -1)});
    std::string context = Node("MatMul", scope + ".context", {share, value});
    context = Node("Transpose", scope + ".context", {context}, {IntsAttribute("perm", {0, 2, 1, 3})});
    context = Node("Reshape", scope + ".context", {context, graph_.Integers({0, 0, shape_.block_width()})});
    return Linear(scope + ".out", context);
  }

  // f(x) of one block: the expression's nodes in post-order, each with its width.
  std::string FeedForward(const std::string& block, const LayerShape& layer, const std::string& x) {
    struct Value {
      std::string name;
      int64_t width;
    };
    std::vector<Value> values;
    for (const auto& node : layer.expression.nodes()) {
      const std::string scope = block + ".f" + std::to_string(values.size());
      if (node.op == Operator::kInput) {
        values.push_back({x, shape_.block_width()});
      } else if (node.op == Operator::kLinear1) {
        values.push_back({Linear(block + ".up", values[node.left].name), layer.width});
      } else if (node.op == Operator::kLinear2) {
        values.push_back({Linear(block + ".down", values[node.left].name), shape_.block_width()});
      } else if (IsBinary(node.op)) {
        const Value &left = values[node.left], &right = values[node.right];
        const int64_t width = std::min(left.width, right.width);
        const auto cut = [&](const Value& value) {
          return value.width == width ? value.name : Slice(scope, value.name, 0, width, 2);
        };
        const char* type = node.op == Operator::kAdd ? "Add" : node.op == Operator::kMul ? "Mul" : "Max";
        values.push_back({Node(type, scope, {cut(left), cut(right)}), width});
      } else {
        values.push_back({Activate(scope, node.op, values[node.left].name), values[node.left].width});
      }
    }
    return values.back().name;
  }

  std::string Activate(const std::string& scope, Operator op, const std::string& x) {
    switch (op) {
      case Operator::kGelu:
        return GeluTanh(scope, x);
      case Operator::kGeluErf:
        return GeluErf(scope, x);
      case Operator::kSigmoid:
        return Node("Sigmoid", scope, {x});
      case Operator::kTanh:
        return Node("Tanh", scope, {x});
      case Operator::kRelu:
        return Node("Relu", scope, {x});
      case Operator::kLeakyRelu:
        return Node("LeakyRelu", scope, {x}, {FloatAttribute("alpha", 0.01f)});
      case Operator::kElu:
        return Node("Elu", scope, {x}, {FloatAttribute("alpha", 1)});
      case Operator::kSwish:
        return Node("Mul", scope, {x, Node("Sigmoid", scope, {x})});
      default:
        THIMBLE_CHECK(IsUnary(op), std::string(OperatorName(op)));
        return {};
    }
  }

  // 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). Hendrycks and Gimpel, 2016, section 2.
  std::string GeluTanh(const std::string& scope, const std::string& x) {
    std::string y = Node("Pow", scope, {x, graph_.Float(3)});
    y = Node("Mul", scope, {y, graph_.Float(0.044715f)});
    y = Node("Add", scope, {x, y});
    y = Node("Mul", scope, {y, graph_.Float(static_cast<float>(M_SQRT2 * M_2_SQRTPI / 2))});
    y = Node("Add", scope, {Node("Tanh", scope, {y}), graph_.Float(1)});
    return Node("Mul", scope, {Node("Mul", scope, {x, graph_.Float(0.5f)}), y});
  }

  // 0.5 x (1 + erf(x / sqrt(2))).
  std::string GeluErf(const std::string& scope, const std::string& x) {
    std::string y = Node("Div", scope, {x, graph_.Float(static_cast<float>(M_SQRT2))});
    y = Node("Add", scope, {Node("Erf", scope, {y}), graph_.Float(1)});
    return Node("Mul", scope, {Node("Mul", scope, {x, y}), graph_.Float(0.5f)});
  }

  const Model& model_;
  const Shape& shape_;
  const OnnxWeights weights_;
  OnnxGraph graph_;
  std::map<std::string, at::Tensor> magnitudes_;  // of linears' inputs
  std::map<std::string, Int8Input> int8_inputs_;  // by value: several linears read one
  std::string ids_, segments_, mask_;
  std::string zero_;  // of weights in eight bits
};

}  // namespace

void WriteOnnx(const Model& model, const std::string& path, const OnnxOptions& options) {
  int64_t bytes = kGraphBytes;
  for (const auto& [name, tensor] : model.weights) {
    if (name.rfind("fit_dense.", 0) == 0) continue;
    const bool int8 = InEightBits(options.weights, name, tensor);
    bytes += tensor.numel() * static_cast<int64_t>(int8 ? sizeof(int8_t) : sizeof(float));
  }
  if (bytes > INT_MAX)
    throw BadRequest(path, "the weights do not fit into one ONNX file", std::to_string(bytes >> 20) + " MiB",
                     "less than 2048 MiB (protobuf's limit)");
  Exporter(model, options).Run().Write(path);
}

}  // namespace thimble::models
