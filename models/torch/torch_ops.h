// Computes the words of encoder/ops.h with LibTorch: a forward pass of a model, or of a part of a larger
// model's weights.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "base/error.h"
#include "models/encoder/ops.h"
#include "models/model.h"

namespace thimble::models {

at::Tensor Apply(Function function, const at::Tensor& x);
at::Tensor Combine(Combination how, const at::Tensor& a, const at::Tensor& b);  // as wide

class TorchOps : public Ops {
 public:
  // All three must live as long.
  TorchOps(const Model& model, const Batch& batch, const ForwardOptions& options)
      : model_(model), batch_(batch), options_(options) {}

  static Value Of(at::Tensor x) { return Value::Of(std::move(x)); }
  // CHECK: an interpreter over this one did not leave it uncomputed.
  static const at::Tensor& In(const Value& x) {
    const auto& tensor = x.as<at::Tensor>();
    THIMBLE_CHECK(tensor.defined(), "a value without a tensor");
    return tensor;
  }

  // What the mixer that ran last shows, if the options ask for it.
  at::Tensor attention_logits, kernel_logits;
  Projections projections;
  at::Tensor mixer_state;           // of the layer
  std::vector<at::Tensor> routing;  // if asked for, of each routed block so far: [B, T, E]

  Value Table(std::string_view name, int rows, int width, Ids ids) override;
  Value Positions(std::string_view name, int rows, int width) override;
  Value Linear(std::string_view name, const Value& x, int out, LinearForm form) override;
  Value Norm(std::string_view name, const Value& x) override;
  Value Apply(std::string_view name, Function function, const Value& x) override;
  Value Combine(std::string_view name, Combination how, const Value& a, const Value& b) override;
  Value Residual(std::string_view name, const Value& a, const Value& b) override;
  Value Affine(std::string_view name, const Value& x, double factor, double shift) override;
  Value Drop(const Value& x) override;
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
  // [B, H, T, c / H] in either order: Attention transposes keys itself, as fused kernels do.
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
  void MostTokens(int most) override;
  Value ContractTokens(std::string_view name, const Value& a, const Value& b) override;
  Value SumTokens(std::string_view name, const Value& x) override;
  Value MatMul(std::string_view name, const Value& x, const Value& matrix) override;
  Value Divide(std::string_view name, const Value& x, const Value& by) override;
  Value Softmax(std::string_view name, const Value& x) override;
  Value Spectrum(std::string_view name, const Value& x, Transform how) override;
  Value LocalSum(std::string_view name, const Value& weights, const Value& x, int kernel) override;
  Value Depthwise(std::string_view name, const Value& x, int kernel, bool starts_as_identity) override;
  void ShowKernel(const Value& query, const Value& key) override;
  void Tap(Tapped what, const Value& x) override;

 private:
  at::Tensor MergedLinear(std::string_view name, const at::Tensor& x, int out, LinearForm form) const;
  const at::Tensor& Weight(const std::string& name) const { return model_.weights.at(name); }
  // softmax(scores + bias) value, with dropout.
  at::Tensor Attended(const at::Tensor& scores, const at::Tensor& value, const at::Tensor& bias) const;
  at::Tensor Places() const;  // 0 to T - 1, [T], in the type of states

  const Model& model_;
  const Batch& batch_;
  const ForwardOptions& options_;
};

}  // namespace thimble::models
