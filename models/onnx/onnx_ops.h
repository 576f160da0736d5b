// Writes the words of encoder/ops.h as ONNX nodes, spelt so that ONNX Runtime's optimizers know the patterns:
// linears as MatMul and Add, a block's value before its residual, GELUs and the attention mask as PyTorch's
// exporter writes them. While loading, ONNX Runtime makes SkipLayerNormalization, BiasGelu, FastGelu and
// FusedMatMul of them; its offline optimizer (onnxruntime.transformers) also Attention, which while loading
// is known up to opset 12 only; not of a last layer whose queries are the first token's alone. Linears in
// eight bits are spelt as its own quantizer spells them; it makes DynamicQuantizeMatMul of each.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "models/encoder/ops.h"
#include "models/model.h"
#include "models/onnx/onnx.h"
#include "models/onnx/onnx_graph.h"

namespace thimble::models {

// The head is small, and what it rounds nothing evens out.
bool InEightBits(OnnxWeights weights, const std::string& name, const at::Tensor& tensor);

class OnnxOps final : public Ops {
 public:
  // All must live as long. `magnitudes`: of linears' inputs, for eight bits (InputMagnitudes).
  OnnxOps(const Model& model, OnnxWeights weights, std::map<std::string, at::Tensor> magnitudes,
          OnnxGraph* graph);

  Value Table(std::string_view name, int rows, int width, Ids ids) override;
  Value Positions(std::string_view name, int rows, int width) override;
  Value Linear(std::string_view name, const Value& x, int out, LinearForm form) override;
  Value Norm(std::string_view name, const Value& x) override;
  Value Apply(std::string_view name, Function function, const Value& x) override;
  Value Combine(std::string_view name, Combination how, const Value& a, const Value& b) override;
  Value Residual(std::string_view name, const Value& a, const Value& b) override;
  Value Affine(std::string_view name, const Value& x, double factor, double shift) override;
  Value Drop(const Value& x) override { return x; }
  Value MaskPadding(std::string_view name, const Value& x) override;
  Value Crop(std::string_view name, const Value& x, int width) override;
  Value Shift(std::string_view name, const Value& x, int by) override;
  Value Concat(std::string_view name, const std::vector<Value>& parts) override;
  Value Parameter(std::string_view name, int width) override;
  Value MeanToken(std::string_view name, const Value& x) override;
  Value Gates(std::string_view name, const Value& logits, const Value& spread, int k) override;
  Value Route(std::string_view name, const Value& logits, int experts, double noise) override;
  Value TokensOfExpert(std::string_view name, const Value& route, const Value& x, int expert) override;
  Value Together(std::string_view name, const Value& route, const Value& x,
                 const std::vector<Value>& parts) override;
  Value Interleave(std::string_view name, const Value& x, int groups) override;
  Value FirstToken(std::string_view name, const Value& x) override;
  Value OnlyFirst(std::string_view name, const Value& x) override;
  Value PaddingBias(std::string_view name) override;
  Value SplitHeads(std::string_view name, const Value& x, int heads, Order order) override;
  Value MergeHeads(std::string_view name, const Value& x) override;
  Value Attention(const Value& query, const Value& key, const Value& value, const Value& bias, Scores shown,
                  const Value& added) override;
  Value Distances(std::string_view name, Tokens queries) override;
  Value Farthest(std::string_view name, Tokens queries) override;
  Value Constants(std::string_view name, const std::vector<double>& values) override;
  Value Numbers(std::string_view name, int count, NumberForm form) override;
  Value MaskKeys(std::string_view name, const Value& maps) override;
  Value KeyConvolution(std::string_view name, const Value& maps, int out, int kernel,
                       LinearForm form) override;
  Value Similarities(const Value& query, const Value& key) override;
  Value Attend(const Value& scores, const Value& value, const Value& bias) override;
  Value ContractTokens(std::string_view name, const Value& a, const Value& b) override;
  Value SumTokens(std::string_view name, const Value& x) override;
  Value MatMul(std::string_view name, const Value& x, const Value& matrix) override;
  Value Divide(std::string_view name, const Value& x, const Value& by) override;
  Value Softmax(std::string_view name, const Value& x) override;
  Value Spectrum(std::string_view name, const Value& x, Transform how) override;
  Value LocalSum(std::string_view name, const Value& weights, const Value& x, int kernel) override;
  Value Depthwise(std::string_view name, const Value& x, int kernel, bool starts_as_identity) override;

 private:
  // Depthwise of so many taps that a row has fewer. `channels`: [B, width, L].
  Value LongDepthwise(const std::string& scope, const std::string& channels, int width, int kernel);
  // A value of the graph: its name, and its width where that is fixed.
  struct Named {
    std::string name;
    int64_t width = 0;
    int heads = 0;
    at::Tensor constant = {};  // where it is one
  };
  struct Routed {
    std::vector<std::string> tokens;  // of each expert their indices, [n]
    std::string factor;               // [B * T, 1]
  };
  static Value Of(std::string name, int64_t width) { return Value::Of(Named{std::move(name), width}); }
  static const std::string& Name(const Value& x) { return x.as<Named>().name; }
  static int64_t Width(const Value& x) { return x.as<Named>().width; }

  std::string Node(const std::string& type, const std::string& scope, const std::vector<std::string>& inputs,
                   const std::vector<onnx::AttributeProto>& attributes = {}) {
    return graph_.Node(type, scope, inputs, attributes);
  }
  std::string Weight(const std::string& name) { return graph_.Weight(name, model_.weights.at(name)); }
  std::string Slice(const std::string& scope, const std::string& x, int64_t begin, int64_t end, int64_t axis);
  std::string GeluTanh(const std::string& scope, const std::string& x);
  Value MergedLinear(std::string_view name, const Value& x, int out, LinearForm form);
  // 0 to length - 1 in float, [length].
  std::string Places(const std::string& scope);
  Value Maps(std::string name, int64_t channels) { return Of(std::move(name), channels); }
  std::string GroupedProduct(const std::string& linear, const std::string& x, int64_t out, int64_t groups);
  std::vector<std::string> TokenTransform(const std::string& scope, Transform how);
  std::string GeluErf(const std::string& scope, const std::string& x);

  // Inputs in eight bits: numbers, scale, zero point; and what they were divided by, if anything.
  struct Int8Input {
    std::vector<std::string> names;
    at::Tensor factors;
  };
  const Int8Input& ToInt8Input(const std::string& linear, const std::string& x);
  std::string Int8Product(const std::string& linear, const std::string& x, const at::Tensor& weight);
  std::string Int8Rows(const std::string& name, const at::Tensor& table, const std::string& ids);

  const Model& model_;
  const OnnxWeights weights_;
  OnnxGraph& graph_;
  const std::map<std::string, at::Tensor> magnitudes_;
  std::map<std::string, std::vector<std::string>>
      same_input_;                                // of each linear those that read what it reads, in order
  std::map<std::string, Int8Input> int8_inputs_;  // by value: several linears read one
  std::map<std::string, std::string> padded_;     // by value: one token more at either end
  std::map<std::string, std::string> flat_;       // by value: its tokens one after another
  std::map<Transform, std::vector<std::string>> transforms_;  // of tokens: all layers' are the same
  std::map<Tokens, std::string> distances_;
  std::string ids_, segments_, mask_;
  std::string zero_;  // of weights in eight bits
};

}  // namespace thimble::models
