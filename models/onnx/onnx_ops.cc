#include "models/onnx/onnx_ops.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "models/encoder/encoder.h"
#include "models/encoder/trace.h"
#include "models/onnx/onnx_int8.h"
#include "models/torch/dispatch.h"
#include "models/torch/mixing.h"

namespace thimble::models {
namespace {

constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();
constexpr int kLargest = 127;  // in eight bits
// Weights of linears are stored from 1 to 255: kernels for CPUs without VNNI add two products of an unsigned
// activation and a signed weight in 16 bits, which saturate unless the weights have seven bits; of unsigned
// ones they do not. With smoothed inputs seven bits kept 96.8% of a student's answers on MRPC, eight 98%, for
// a sixth more time a product.
constexpr int kZero = 128;

std::map<std::string, std::vector<std::string>> SameInput(const Model& model) {
  Trace trace(Trace::Names::kKept);
  const Value last = Encode(model.shape, LastStates(model.head, model.classes), trace);
  if (model.classes > 0) RunHead(model.shape, model.classes, model.head, last, trace);
  std::map<int, std::vector<std::string>> by_input;
  for (const auto& linear : trace.linears()) by_input[linear.input].push_back(linear.name);
  std::map<std::string, std::vector<std::string>> by_linear;
  for (const auto& [input, linears] : by_input)
    for (const std::string& linear : linears) by_linear[linear] = linears;
  return by_linear;
}

}  // namespace

bool InEightBits(OnnxWeights weights, const std::string& name, const at::Tensor& tensor) {
  return weights == OnnxWeights::kInt8 && tensor.dim() == 2 && !name.starts_with("head.") &&
         (name.ends_with(".weight") || name == "embedding.token");
}

OnnxOps::OnnxOps(const Model& model, OnnxWeights weights, std::map<std::string, at::Tensor> magnitudes,
                 OnnxGraph* graph)
    : model_(model), weights_(weights), graph_(*graph), magnitudes_(std::move(magnitudes)) {
  if (weights_ == OnnxWeights::kInt8) same_input_ = SameInput(model);
  ids_ = graph_.Input("input_ids", onnx::TensorProto::INT64, {"batch", "length"});
  segments_ = graph_.Input("token_type_ids", onnx::TensorProto::INT64, {"batch", "length"});
  mask_ = graph_.Input("attention_mask", onnx::TensorProto::INT64, {"batch", "length"});
}

std::string OnnxOps::Slice(const std::string& scope, const std::string& x, int64_t begin, int64_t end,
                           int64_t axis) {
  return Node("Slice", scope, {x, graph_.Integers({begin}), graph_.Integers({end}), graph_.Integers({axis})});
}

// --- Weights ---

Value OnnxOps::Table(std::string_view name, int, int width, Ids ids) {
  const std::string full = Full(name);
  const at::Tensor& table = model_.weights.at(full);
  const std::string& rows = ids == Ids::kTokens ? ids_ : segments_;
  if (InEightBits(weights_, full, table)) return Of(Int8Rows(full, table, rows), width);
  return Of(Node("Gather", full, {Weight(full), rows}), width);
}

std::string OnnxOps::Int8Rows(const std::string& name, const at::Tensor& table, const std::string& ids) {
  const Int8Matrix matrix = ToInt8(table, kLargest);
  std::string vectors = Node("Gather", name, {graph_.Weight(name, matrix.values), ids});
  vectors = Node("Cast", name, {vectors}, {IntAttribute("to", onnx::TensorProto::FLOAT)});
  const std::string scales = graph_.Weight(name + ".scale", matrix.scales.unsqueeze(1));
  return Node("Mul", name, {vectors, Node("Gather", name + ".scale", {scales, ids})});
}

Value OnnxOps::Positions(std::string_view name, int, int width) {
  const std::string full = Full(name);
  const std::string length = Node("Shape", full, {ids_}, {IntAttribute("start", 1)});
  const std::string position =
      Node("Slice", full, {Weight(full), graph_.Integers({0}), length, graph_.Integers({0})});
  graph_.State(position, onnx::TensorProto::FLOAT, {"length", width});
  return Of(position, width);
}

// The weight is stored as [in, out], transposed from the model's: MatMul has no transposition.
Value OnnxOps::Linear(std::string_view name, const Value& x, int out, LinearForm form) {
  if (merging().experts > 0) return MergedLinear(name, x, out, form);
  const std::string full = Full(name), weight_name = full + ".weight";
  const at::Tensor& weight = model_.weights.at(weight_name);
  const std::string product = form.groups > 1 ? GroupedProduct(full, Name(x), out, form.groups)
                              : InEightBits(weights_, weight_name, weight)
                                  ? Int8Product(full, Name(x), weight)
                                  : Node("MatMul", full, {Name(x), graph_.Weight(weight_name, weight.t())});
  if (!form.bias) return Of(product, out);
  return Of(Node("Add", full, {product, Weight(full + ".bias")}), out);
}

const OnnxOps::Int8Input& OnnxOps::ToInt8Input(const std::string& linear, const std::string& x) {
  const auto found = int8_inputs_.find(x);
  if (found != int8_inputs_.end()) return found->second;
  Int8Input& input = int8_inputs_[x];
  std::string value = x;
  const auto magnitudes = magnitudes_.find(linear);
  if (magnitudes != magnitudes_.end()) {
    std::vector<at::Tensor> weights;
    for (const std::string& each : same_input_.at(linear))
      weights.push_back(model_.weights.at(each + ".weight"));
    input.factors = SmoothingFactors(magnitudes->second, weights);
    value = Node("Mul", linear + ".smooth", {x, graph_.Weight(linear + ".smooth", 1 / input.factors)});
  }
  input.names = graph_.Nodes("DynamicQuantizeLinear", linear, {value}, 3);
  return input;
}

std::string OnnxOps::Int8Product(const std::string& linear, const std::string& x, const at::Tensor& weight) {
  const Int8Input& input = ToInt8Input(linear, x);
  const Int8Matrix matrix = ToInt8(input.factors.defined() ? weight * input.factors : weight, kLargest);
  const at::Tensor numbers = (matrix.values.to(at::kShort) + kZero).to(at::kByte);
  if (zero_.empty()) zero_ = graph_.Weight("weight.zero", at::scalar_tensor(kZero, at::kByte));
  std::string product =
      Node("MatMulInteger", linear,
           {input.names[0], graph_.Weight(linear + ".weight", numbers.t()), input.names[2], zero_});
  product = Node("Cast", linear, {product}, {IntAttribute("to", onnx::TensorProto::FLOAT)});
  const std::string scales = graph_.Weight(linear + ".weight.scale", matrix.scales);
  return Node("Mul", linear, {product, Node("Mul", linear + ".scale", {input.names[1], scales})});
}

// In float32 whatever the file holds: runtimes have no batched product in eight bits.
std::string OnnxOps::GroupedProduct(const std::string& linear, const std::string& x, int64_t out,
                                    int64_t groups) {
  const at::Tensor parts =
      model_.weights.at(linear + ".weight").unflatten(0, {groups, -1}).transpose(1, 2);  // [g, i, o]
  std::string y = Node("Reshape", linear, {x, graph_.Integers({0, 0, groups, parts.size(1)})});
  y = Node("Transpose", linear, {y}, {IntsAttribute("perm", {0, 2, 1, 3})});
  y = Node("MatMul", linear, {y, graph_.Weight(linear + ".weight", parts)});
  y = Node("Transpose", linear, {y}, {IntsAttribute("perm", {0, 2, 1, 3})});
  return Node("Reshape", linear, {y, graph_.Integers({0, 0, out})});
}

Value OnnxOps::MergedLinear(std::string_view name, const Value& x, int out, LinearForm form) {
  std::vector<at::Tensor> weights, biases;
  for (int e = 0; e < merging().experts; ++e) {
    weights.push_back(model_.weights.at(OfExpert(e, name) + ".weight").t());
    if (form.bias) biases.push_back(model_.weights.at(OfExpert(e, name) + ".bias"));
  }
  const auto& gates = merging().gates.as<Named>();
  const std::string full = Full("expert.") + std::string(name);
  if (gates.constant.defined()) {  // one dense linear
    const auto merged = [&](const std::vector<at::Tensor>& parts) {
      return at::tensordot(gates.constant[0], at::stack(parts), {0}, {0});
    };
    const std::string product =
        Node("MatMul", full, {Name(x), graph_.Weight(full + ".weight", merged(weights))});
    if (!form.bias) return Of(product, out);
    return Of(Node("Add", full, {product, graph_.Weight(full + ".bias", merged(biases))}), out);
  }
  const std::string all = graph_.Weight(full + ".weight", at::stack(weights).flatten(1));
  const std::string weight =
      Node("Reshape", full, {Node("MatMul", full, {gates.name, all}), graph_.Integers({0, Width(x), out})});
  const std::string product = Node("MatMul", full, {Name(x), weight});
  if (!form.bias) return Of(product, out);
  const std::string bias =
      Node("MatMul", full, {gates.name, graph_.Weight(full + ".bias", at::stack(biases))});
  return Of(Node("Add", full, {product, Node("Unsqueeze", full, {bias, graph_.Integers({1})})}), out);
}

Value OnnxOps::Norm(std::string_view name, const Value& x) {
  const std::string full = Full(name);
  const ResolvedArchitecture& shape = model_.shape;
  if (shape.no_norm) {
    const std::string scaled = Node("Mul", full, {Name(x), Weight(full + ".weight")});
    return Of(Node("Add", full, {scaled, Weight(full + ".bias")}), Width(x));
  }
  return Of(Node("LayerNormalization", full, {Name(x), Weight(full + ".weight"), Weight(full + ".bias")},
                 {IntAttribute("axis", -1),
                  FloatAttribute("epsilon", static_cast<float>(shape.layer_norm_epsilon))}),
            Width(x));
}

// --- Element by element ---

Value OnnxOps::Apply(std::string_view name, Function function, const Value& x) {
  const std::string scope = Full(name);
  const auto of = [&](std::string node) { return Of(std::move(node), Width(x)); };
  switch (function) {
    case Function::kGelu:
      return of(GeluTanh(scope, Name(x)));
    case Function::kGeluErf:
      return of(GeluErf(scope, Name(x)));
    case Function::kSigmoid:
      return of(Node("Sigmoid", scope, {Name(x)}));
    case Function::kTanh:
      return of(Node("Tanh", scope, {Name(x)}));
    case Function::kRelu:
      return of(Node("Relu", scope, {Name(x)}));
    case Function::kLeakyRelu:
      return of(Node("LeakyRelu", scope, {Name(x)}, {FloatAttribute("alpha", 0.01f)}));
    case Function::kElu:
      return of(Node("Elu", scope, {Name(x)}, {FloatAttribute("alpha", 1)}));
    case Function::kLog:
      return of(Node("Log", scope, {Name(x)}));
    case Function::kAbs:
      return of(Node("Abs", scope, {Name(x)}));
    case Function::kSwish:
      return of(Node("Mul", scope, {Name(x), Node("Sigmoid", scope, {Name(x)})}));
  }
  THIMBLE_CHECK(false, std::to_string(static_cast<int>(function)));
  return {};
}

// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). Hendrycks and Gimpel, 2016, section 2.
std::string OnnxOps::GeluTanh(const std::string& scope, const std::string& x) {
  std::string y = Node("Pow", scope, {x, graph_.Float(3)});
  y = Node("Mul", scope, {y, graph_.Float(0.044715f)});
  y = Node("Add", scope, {x, y});
  y = Node("Mul", scope, {y, graph_.Float(static_cast<float>(M_SQRT2 * M_2_SQRTPI / 2))});
  y = Node("Add", scope, {Node("Tanh", scope, {y}), graph_.Float(1)});
  return Node("Mul", scope, {Node("Mul", scope, {x, graph_.Float(0.5f)}), y});
}

// 0.5 x (1 + erf(x / sqrt(2))).
std::string OnnxOps::GeluErf(const std::string& scope, const std::string& x) {
  std::string y = Node("Div", scope, {x, graph_.Float(static_cast<float>(M_SQRT2))});
  y = Node("Add", scope, {Node("Erf", scope, {y}), graph_.Float(1)});
  return Node("Mul", scope, {Node("Mul", scope, {x, y}), graph_.Float(0.5f)});
}

Value OnnxOps::Combine(std::string_view name, Combination how, const Value& a, const Value& b) {
  const char* type = how == Combination::kAdd   ? "Add"
                     : how == Combination::kMul ? "Mul"
                     : how == Combination::kMax ? "Max"
                                                : "Pow";
  return Of(Node(type, Full(name), {Name(a), Name(b)}), std::max(Width(a), Width(b)));
}

// ONNX Runtime 1.31 makes SkipLayerNormalization of Add and LayerNormalization, which on a CPU takes longer
// than the two: EfficientBERT in eight bits 87 ms instead of 65. GPUs and the offline optimizer's Attention
// want it, and run float32.
Value OnnxOps::Residual(std::string_view name, const Value& a, const Value& b) {
  return Of(Node(weights_ == OnnxWeights::kInt8 ? "Sum" : "Add", Full(name), {Name(a), Name(b)}), Width(a));
}

Value OnnxOps::Affine(std::string_view name, const Value& x, double factor, double shift) {
  std::string value = Name(x);
  if (factor != 1) value = Node("Mul", Full(name), {value, graph_.Float(static_cast<float>(factor))});
  if (shift != 0) value = Node("Add", Full(name), {value, graph_.Float(static_cast<float>(shift))});
  return Value::Of(Named{value, Width(x), x.as<Named>().heads});
}

Value OnnxOps::MaskPadding(std::string_view name, const Value& x) {
  const std::string scope = Full(name);
  const std::string real = Node("Cast", scope, {mask_}, {IntAttribute("to", onnx::TensorProto::FLOAT)});
  return Of(Node("Mul", scope, {Name(x), Node("Unsqueeze", scope, {real, graph_.Integers({2})})}), Width(x));
}

// --- Moving ---

Value OnnxOps::Crop(std::string_view name, const Value& x, int width) {
  return Of(Slice(Full(name), Name(x), 0, width, 2), width);
}

Value OnnxOps::Shift(std::string_view name, const Value& x, int by) {
  const std::string scope = Full(name);
  const int64_t far = std::abs(by);
  std::string& padded = padded_[Name(x) + " " + std::to_string(far)];
  if (padded.empty()) padded = Node("Pad", scope, {Name(x), graph_.Integers({0, far, 0, 0, far, 0})});
  return Of(by > 0 ? Slice(scope, padded, 2 * far, kEnd, 1) : Slice(scope, padded, 0, -2 * far, 1), Width(x));
}

Value OnnxOps::Concat(std::string_view name, const std::vector<Value>& parts) {
  std::vector<std::string> names;
  int64_t width = 0;
  for (const Value& part : parts) {
    names.push_back(Name(part));
    width += Width(part);
  }
  return Value::Of(Named{Node("Concat", Full(name), names, {IntAttribute("axis", -1)}), width,
                         parts[0].as<Named>().heads});
}

// --- Experts ---

Value OnnxOps::Parameter(std::string_view name, int width) {
  return Value::Of(Named{"", width, 0, model_.weights.at(Full(name)).detach().to(at::kFloat)});
}

Value OnnxOps::MeanToken(std::string_view name, const Value& x) {
  const std::string scope = Full(name);
  std::string real = Node("Cast", scope, {mask_}, {IntAttribute("to", onnx::TensorProto::FLOAT)});
  real = Node("Unsqueeze", scope, {real, graph_.Integers({2})});
  const auto sum = [&](const std::string& of) {
    return Node("ReduceSum", scope, {of, graph_.Integers({1})}, {IntAttribute("keepdims", 0)});
  };
  const std::string tokens = Node("Max", scope, {sum(real), graph_.Float(1)});
  return Of(Node("Div", scope, {sum(Node("Mul", scope, {Name(x), real})), tokens}), Width(x));
}

Value OnnxOps::Gates(std::string_view name, const Value& logits, const Value&, int k) {
  const auto& of = logits.as<Named>();
  if (of.constant.defined()) return Value::Of(Named{"", of.width, 0, experts::TopShares(of.constant, k)});
  const std::string scope = Full(name);
  const auto softmax = [&](const std::string& x) {
    return Node("Softmax", scope, {x}, {IntAttribute("axis", -1)});
  };
  if (k == of.width) return Of(softmax(of.name), of.width);
  const auto largest = graph_.Nodes("TopK", scope, {of.name, graph_.Integers({k})}, 2);
  const std::string zeros = Node("Mul", scope, {of.name, graph_.Float(0)});
  return Of(
      Node("ScatterElements", scope, {zeros, largest[1], softmax(largest[0])}, {IntAttribute("axis", -1)}),
      of.width);
}

Value OnnxOps::Route(std::string_view name, const Value& logits, int experts, double) {
  const std::string scope = Full(name);
  const std::string shares = Node("Softmax", scope, {Name(logits)}, {IntAttribute("axis", -1)});
  const std::string choice =
      Node("ArgMax", scope, {shares}, {IntAttribute("axis", -1), IntAttribute("keepdims", 1)});
  const std::string share = Node("GatherElements", scope, {shares, choice}, {IntAttribute("axis", -1)});
  const std::string flat = Node("Reshape", scope, {choice, graph_.Integers({-1})});
  Routed routed;
  for (int e = 0; e < experts; ++e) {
    const std::string places = Node("NonZero", scope, {Node("Equal", scope, {flat, graph_.Integer(e)})});
    routed.tokens.push_back(Node("Squeeze", scope, {places, graph_.Integers({0})}));
  }
  routed.factor = Node(
      "Mul", scope,
      {Node("Reshape", scope, {share, graph_.Integers({-1, 1})}), graph_.Float(static_cast<float>(experts))});
  return Value::Of(std::move(routed));
}

Value OnnxOps::TokensOfExpert(std::string_view name, const Value& route, const Value& x, int expert) {
  const std::string scope = Full(name);
  std::string& flat = flat_[Name(x)];
  if (flat.empty()) flat = Node("Reshape", scope, {Name(x), graph_.Integers({-1, Width(x)})});
  const std::string tokens =
      Node("Gather", scope, {flat, route.as<Routed>().tokens[static_cast<size_t>(expert)]},
           {IntAttribute("axis", 0)});
  return Of(Node("Unsqueeze", scope, {tokens, graph_.Integers({0})}), Width(x));
}

Value OnnxOps::Together(std::string_view name, const Value& route, const Value& x,
                        const std::vector<Value>& parts) {
  const std::string scope = Full(name);
  const auto& routed = route.as<Routed>();
  std::vector<std::string> made;
  for (const Value& part : parts) made.push_back(Node("Squeeze", scope, {Name(part), graph_.Integers({0})}));
  const std::string order =
      Node("Unsqueeze", scope,
           {Node("Concat", scope, routed.tokens, {IntAttribute("axis", 0)}), graph_.Integers({1})});
  // Every token is overwritten: x is there for its size alone.
  std::string all = Node("ScatterND", scope,
                         {flat_.at(Name(x)), order, Node("Concat", scope, made, {IntAttribute("axis", 0)})});
  all = Node("Mul", scope, {all, routed.factor});
  return Of(Node("Reshape", scope, {all, Node("Shape", scope, {Name(x)})}), Width(x));
}

Value OnnxOps::Interleave(std::string_view name, const Value& x, int groups) {
  const std::string scope = Full(name);
  const int64_t depth = Width(x) / groups / groups;
  std::string y = Node("Reshape", scope, {Name(x), graph_.Integers({0, 0, groups, depth, groups})});
  y = Node("Transpose", scope, {y}, {IntsAttribute("perm", {0, 1, 4, 3, 2})});
  return Of(Node("Reshape", scope, {y, graph_.Integers({0, 0, Width(x)})}), Width(x));
}

Value OnnxOps::FirstToken(std::string_view name, const Value& x) {
  return Of(Node("Gather", Full(name), {Name(x), graph_.Integer(0)}, {IntAttribute("axis", 1)}), Width(x));
}

// Unlike a Slice of an axis of any length it has one that shape inference knows: residuals are still fused.
Value OnnxOps::OnlyFirst(std::string_view name, const Value& x) {
  return Of(Node("Gather", Full(name), {Name(x), graph_.Integers({0})}, {IntAttribute("axis", 1)}), Width(x));
}

// --- Attention ---

// [batch, 1, 1, length]: 0 for a real token, -10000 for padding.
Value OnnxOps::PaddingBias(std::string_view name) {
  const std::string scope = Full(name);
  std::string x = Node("Unsqueeze", scope, {mask_, graph_.Integers({1})});
  x = Node("Unsqueeze", scope, {x, graph_.Integers({2})});
  x = Node("Cast", scope, {x}, {IntAttribute("to", onnx::TensorProto::FLOAT)});
  x = Node("Sub", scope, {graph_.Float(1), x});
  return Of(Node("Mul", scope, {x, graph_.Float(-10000)}), 0);
}

// Width is a head's from here to MergeHeads.
Value OnnxOps::SplitHeads(std::string_view name, const Value& x, int heads, Order order) {
  const std::string scope = Full(name);
  const int64_t width = Width(x) / heads;
  const std::string split = Node("Reshape", scope, {Name(x), graph_.Integers({0, 0, heads, width})});
  const std::vector<int64_t> axes =
      order == Order::kTokensFirst ? std::vector<int64_t>{0, 2, 1, 3} : std::vector<int64_t>{0, 2, 3, 1};
  return Value::Of(Named{Node("Transpose", scope, {split}, {IntsAttribute("perm", axes)}), width, heads});
}

Value OnnxOps::MergeHeads(std::string_view name, const Value& x) {
  const std::string scope = Full(name);
  const int64_t width = Width(x) * x.as<Named>().heads;
  const std::string rows = Node("Transpose", scope, {Name(x)}, {IntsAttribute("perm", {0, 2, 1, 3})});
  return Of(Node("Reshape", scope, {rows, graph_.Integers({0, 0, width})}), width);
}

Value OnnxOps::Attention(const Value& query, const Value& key, const Value& value, const Value& bias, Scores,
                         const Value& added) {
  Value scores = Similarities(query, key);
  if (added) scores = Maps(Node("Add", Full("scores"), {Name(scores), Name(added)}), query.as<Named>().heads);
  return Attend(scores, value, bias);
}

// All layers' are the same.
Value OnnxOps::Distances(std::string_view name, Tokens queries) {
  std::string& distances = distances_[queries];
  if (!distances.empty()) return Maps(distances, 1);
  const std::string scope = Full(name), place = Places(scope);
  distances = Node("Unsqueeze", scope, {place, graph_.Integers({0, 1, 2})});
  if (queries == Tokens::kAll) {
    const std::string query = Node("Unsqueeze", scope, {place, graph_.Integers({0, 1, 3})});
    distances = Node("Abs", scope, {Node("Sub", scope, {query, distances})});
  }
  return Maps(distances, 1);
}

Value OnnxOps::Farthest(std::string_view name, Tokens queries) {
  const std::string scope = Full(name);
  const std::string real = Node("Cast", scope, {mask_}, {IntAttribute("to", onnx::TensorProto::FLOAT)});
  std::string last = Node("ReduceSum", scope, {real, graph_.Integers({1})}, {IntAttribute("keepdims", 1)});
  last = Node("Sub", scope, {last, graph_.Float(1)});  // [batch, 1]
  if (queries == Tokens::kFirst) return Of(Node("Unsqueeze", scope, {last, graph_.Integers({1, 3})}), 1);
  const std::string place = Places(scope);
  const std::string farthest = Node("Max", scope, {place, Node("Sub", scope, {last, place})});
  return Of(Node("Unsqueeze", scope, {farthest, graph_.Integers({1, 3})}), 1);
}

Value OnnxOps::Constants(std::string_view name, const std::vector<double>& values) {
  const at::Tensor numbers = at::tensor(values, at::kDouble).to(at::kFloat).view({1, -1, 1, 1});
  return Maps(graph_.Weight(Full(name), numbers), static_cast<int64_t>(values.size()));
}

Value OnnxOps::Numbers(std::string_view name, int count, NumberForm form) {
  const at::Tensor held = model_.weights.at(Full(name)).detach().clamp(form.least, form.most);
  return Maps(graph_.Weight(Full(name), held.view({1, -1, 1, 1})), count);
}

Value OnnxOps::MaskKeys(std::string_view name, const Value& maps) {
  const std::string scope = Full(name);
  std::string real = Node("Cast", scope, {mask_}, {IntAttribute("to", onnx::TensorProto::FLOAT)});
  real = Node("Unsqueeze", scope, {real, graph_.Integers({1, 2})});
  return Maps(Node("Mul", scope, {Name(maps), real}), Width(maps));
}

// In float32 whatever the file holds.
Value OnnxOps::KeyConvolution(std::string_view name, const Value& maps, int out, int kernel,
                              LinearForm form) {
  const std::string full = Full(name);
  const at::Tensor weight = model_.weights.at(full + ".weight").view({out, Width(maps), 1, kernel});
  std::vector<std::string> inputs = {Name(maps), graph_.Weight(full + ".weight", weight)};
  if (form.bias) inputs.push_back(Weight(full + ".bias"));
  const int64_t far = kernel / 2;
  return Maps(Node("Conv", full, inputs, {IntsAttribute("pads", {0, far, 0, far})}), out);
}

Value OnnxOps::Similarities(const Value& query, const Value& key) {
  const std::string scope = Full("scores");
  const auto scale = static_cast<float>(std::sqrt(Width(query)));
  const std::string scores = Node("MatMul", scope, {Name(query), Name(key)});
  return Maps(Node("Div", scope, {scores, graph_.Float(scale)}), query.as<Named>().heads);
}

Value OnnxOps::Attend(const Value& scores, const Value& value, const Value& bias) {
  const std::string scope = Full("scores");
  const std::string share =
      Node("Softmax", scope, {Node("Add", scope, {Name(scores), Name(bias)})}, {IntAttribute("axis", -1)});
  return Value::Of(
      Named{Node("MatMul", Full("context"), {share, Name(value)}), Width(value), value.as<Named>().heads});
}

Value OnnxOps::ContractTokens(std::string_view name, const Value& a, const Value& b) {
  return Value::Of(Named{Node("MatMul", Full(name), {Name(a), Name(b)}), Width(b), b.as<Named>().heads});
}

Value OnnxOps::SumTokens(std::string_view name, const Value& x) {
  const std::string sums =
      Node("ReduceSum", Full(name), {Name(x), graph_.Integers({3})}, {IntAttribute("keepdims", 1)});
  return Value::Of(Named{sums, 1, x.as<Named>().heads});
}

Value OnnxOps::MatMul(std::string_view name, const Value& x, const Value& matrix) {
  return Value::Of(
      Named{Node("MatMul", Full(name), {Name(x), Name(matrix)}), Width(matrix), x.as<Named>().heads});
}

Value OnnxOps::Divide(std::string_view name, const Value& x, const Value& by) {
  return Value::Of(Named{Node("Div", Full(name), {Name(x), Name(by)}), Width(x), x.as<Named>().heads});
}

// --- Other mixing ---

Value OnnxOps::Softmax(std::string_view name, const Value& x) {
  return Value::Of(Named{Node("Softmax", Full(name), {Name(x)}, {IntAttribute("axis", -1)}), Width(x),
                         x.as<Named>().heads});
}

std::string OnnxOps::Places(const std::string& scope) {
  const std::string size =
      Node("Gather", scope, {Node("Shape", scope, {mask_}), graph_.Integer(1)}, {IntAttribute("axis", 0)});
  return Node("Cast", scope, {Node("Range", scope, {graph_.Integer(0), size, graph_.Integer(1)})},
              {IntAttribute("to", onnx::TensorProto::FLOAT)});
}

// Matrices [batch, 1, length, length] of a row's own length, as models/torch/mixing.cc: cosines, and of
// Fourier's transform sines.
std::vector<std::string> OnnxOps::TokenTransform(const std::string& scope, Transform how) {
  const auto binary = [&](const char* type, const std::string& a, const std::string& b) {
    return Node(type, scope, {a, b});
  };
  const auto axes = [&](const std::string& x, const std::vector<int64_t>& at) {
    return Node("Unsqueeze", scope, {x, graph_.Integers(at)});
  };
  const std::string real = Node("Cast", scope, {mask_}, {IntAttribute("to", onnx::TensorProto::FLOAT)});
  const std::string pairs = binary("Mul", axes(real, {1, 2}), axes(real, {1, 3}));
  const std::string length = Node("ReduceSum", scope, {axes(real, {1, 2}), graph_.Integers({3})},
                                  {IntAttribute("keepdims", 1)});  // [batch, 1, 1, 1]
  const std::string place = Places(scope);
  std::string from = axes(place, {0});
  const std::string to = axes(place, {1});
  std::string period = length;
  if (how == Transform::kDct) {
    from = binary("Add", binary("Mul", from, graph_.Float(2)), graph_.Float(1));
    period = binary("Mul", length, graph_.Float(4));
  }
  std::string angle = Node("Mod", scope, {binary("Mul", from, to), period}, {IntAttribute("fmod", 1)});
  angle = binary("Div", binary("Mul", angle, graph_.Float(static_cast<float>(2 * M_PI))), period);
  if (how == Transform::kDft) {
    const std::string scale = binary("Div", pairs, Node("Sqrt", scope, {length}));
    return {binary("Mul", Node("Cos", scope, {angle}), scale),
            binary("Mul", Node("Sin", scope, {angle}), scale)};
  }
  const std::string first =
      binary("Add", Node("Min", scope, {to, graph_.Float(1)}), graph_.Float(1));  // 1, then 2
  const std::string scale = binary("Mul", pairs, Node("Sqrt", scope, {binary("Div", first, length)}));
  return {binary("Mul", Node("Cos", scope, {angle}), scale)};
}

Value OnnxOps::Spectrum(std::string_view name, const Value& x, Transform how) {
  const std::string scope = Full(name);
  std::vector<std::string>& tokens = transforms_[how];
  if (tokens.empty()) tokens = TokenTransform(scope, how);
  const std::vector<at::Tensor> channels = ChannelTransform(Width(x), how);
  std::string sum;
  for (size_t i = 0; i < channels.size(); ++i) {
    const std::string part = Node(
        "MatMul", scope, {Name(x), graph_.Weight(scope + (i == 0 ? ".cosines" : ".sines"), channels[i].t())});
    const std::string mixed = Node("MatMul", scope, {tokens[i], part});
    sum = i == 0 ? mixed : Node("Sub", scope, {sum, mixed});
  }
  return Value::Of(Named{sum, Width(x), x.as<Named>().heads});
}

Value OnnxOps::LocalSum(std::string_view name, const Value& weights, const Value& x, int kernel) {
  const std::string scope = Full(name);
  const int64_t far = kernel / 2;
  const std::string padded = Node("Pad", scope, {Name(x), graph_.Integers({0, 0, far, 0, 0, 0, far, 0})});
  std::string sum;
  for (int64_t j = 0; j < kernel; ++j) {
    const std::string moved = Slice(scope, padded, j, j + 1 < kernel ? j + 1 - kernel : kEnd, 2);
    const std::string part = Node("Mul", scope, {moved, Slice(scope, Name(weights), j, j + 1, 3)});
    sum = j == 0 ? part : Node("Add", scope, {sum, part});
  }
  return Value::Of(Named{sum, Width(x), x.as<Named>().heads});
}

// The taps of a row's length L, 2 L - 1 in the middle, or all where there are fewer; the row with as much of
// nothing on both sides.
Value OnnxOps::LongDepthwise(const std::string& scope, const std::string& channels, int width, int kernel) {
  const std::string weight = scope + ".weight", far = graph_.Integers({kernel / 2});
  const std::string length = Node("Gather", scope, {Node("Shape", scope, {mask_}), graph_.Integers({1})},
                                  {IntAttribute("axis", 0)});  // [1]
  const std::string side = Node("Min", scope, {Node("Sub", scope, {length, graph_.Integers({1})}), far});
  const std::string begin = Node("Sub", scope, {far, side});
  const std::string end = Node("Add", scope, {Node("Add", scope, {far, side}), graph_.Integers({1})});
  const std::string taps =
      Node("Slice", scope,
           {graph_.Weight(weight, model_.weights.at(weight).unsqueeze(1)), begin, end, graph_.Integers({2})});
  const std::string none = graph_.Integers({0, 0});
  const std::string pads = Node("Concat", scope, {none, side, none, side}, {IntAttribute("axis", 0)});
  const std::string sums =
      Node("Conv", scope, {Node("Pad", scope, {channels, pads}), taps}, {IntAttribute("group", width)});
  return Of(Node("Transpose", scope, {sums}, {IntsAttribute("perm", {0, 2, 1})}), width);
}

Value OnnxOps::Depthwise(std::string_view name, const Value& x, int kernel, bool) {
  const std::string full = Full(name), weight = full + ".weight";
  const std::string channels = Node("Transpose", full, {Name(x)}, {IntsAttribute("perm", {0, 2, 1})});
  if (kernel >= kLongKernel) return LongDepthwise(full, channels, Width(x), kernel);
  const std::string sums =
      Node("Conv", full, {channels, graph_.Weight(weight, model_.weights.at(weight).unsqueeze(1))},
           {IntAttribute("group", Width(x)), IntsAttribute("pads", {kernel / 2, kernel / 2})});
  return Of(Node("Transpose", full, {sums}, {IntsAttribute("perm", {0, 2, 1})}), Width(x));
}

}  // namespace thimble::models
