// Forward, and what looks at its parts: the walk of models/encoder over TorchOps.
#include <ATen/ATen.h>

#include "base/error.h"
#include "models/encoder/encoder.h"
#include "models/model.h"
#include "models/torch/layer.h"
#include "models/torch/listener.h"
#include "models/torch/products.h"
#include "models/torch/torch_ops.h"

namespace thimble::models {
namespace {

// Of the tokens that are to be found (label 0 or above), in order: [masked tokens, V].
at::Tensor MlmLogits(const Model& model, const at::Tensor& states, const at::Tensor& labels) {
  const at::Tensor places = (labels.flatten() >= 0).nonzero().flatten();
  at::Tensor x = Linear(model, "head.transform", states.flatten(0, 1).index_select(0, places));
  x = LayerNorm(model, "head.norm", at::gelu(x));
  return Linear(x, model.weights.at("embedding.token"), model.weights.at("head.bias"));
}

// What one linear read.
class Input final : public Listener {
 public:
  explicit Input(std::string linear) : linear_(std::move(linear)) {}
  void OnLinear(const std::string& name, const at::Tensor& input, const at::Tensor&) override {
    if (name == linear_) read = input;
  }
  at::Tensor read;

 private:
  const std::string linear_;
};

}  // namespace

at::Tensor EmbeddingInput(const Model& model, const Batch& batch) {
  Input input("embedding.project");
  const ForwardOptions options{.listener = &input};
  TorchOps ops(model, batch, options);
  const Value tokens = TokenEmbedding(model.shape, ops);
  return input.read.defined() ? input.read : TorchOps::In(tokens);
}

at::Tensor EmbeddingSum(const Model& model, const Batch& batch) {
  const ForwardOptions options;
  TorchOps ops(model, batch, options);
  return TorchOps::In(EmbeddingSum(model.shape, ops));
}

Mixed ComputeMixer(const Model& model, int layer, const proto::Mixer& mixer, const at::Tensor& x,
                   const Batch& batch, const ForwardOptions& options, const at::Tensor* value_input) {
  TorchOps ops(model, batch, options);
  const Value in = TorchOps::Of(x), value = value_input ? TorchOps::Of(*value_input) : in;
  const Value context = Mix(model.shape, layer, mixer, {.key = in, .value = value, .query = in},
                            ops.PaddingBias(kPaddingBias), Tokens::kAll, ops);
  return {std::move(ops.attention_logits), std::move(ops.kernel_logits), std::move(ops.projections),
          context ? TorchOps::In(context) : at::Tensor()};
}

at::Tensor FeedForwardValue(const Model& model, int layer, int stack, const LayerShape& shape,
                            const at::Tensor& x, Listener* listener) {
  const ForwardOptions options{.listener = listener};
  const Batch none;
  TorchOps ops(model, none, options);
  const Value value = FeedForward(model.shape, layer, stack, shape, TorchOps::Of(x), ops);
  return value ? TorchOps::In(value) : at::Tensor();
}

LayerOutputs ComputeLayer(const Model& model, int index, const LayerShape& layer, at::Tensor input,
                          const Batch& batch, const ForwardOptions& options) {
  TorchOps ops(model, batch, options);
  const Value bias = ops.PaddingBias(kPaddingBias);
  const bool last = index + 1 == static_cast<int>(model.shape.layers.size());
  const Tokens read = last && options.first_token_only ? Tokens::kFirst : Tokens::kAll;
  const Value state = RunLayer(model.shape, index, layer, TorchOps::Of(std::move(input)), bias, read, ops);
  return {TorchOps::In(state),
          std::move(ops.attention_logits),
          std::move(ops.kernel_logits),
          std::move(ops.projections),
          ops.routing.empty() ? at::Tensor() : at::stack(ops.routing),
          std::move(ops.mixer_state)};
}

ForwardOptions ForLogits(const Model& model, ForwardOptions asked) {
  asked.first_token_only = LastStates(model.head, model.classes) == Tokens::kFirst && !asked.hidden_states &&
                           !asked.attention_logits && !asked.kernel_logits && !asked.projections &&
                           !asked.mixer_states && !asked.routing;
  return asked;
}

Outputs Forward(const Model& model, const Batch& batch, const ForwardOptions& options) {
  const ResolvedArchitecture& shape = options.candidate ? *options.candidate : model.shape;
  THIMBLE_CHECK(shape.layers.size() == model.shape.layers.size(), "candidate and model differ in depth");
  THIMBLE_CHECK(!options.first_token_only || ForLogits(model, options).first_token_only,
                "the last layer of the first token alone, where more of it is read");
  TorchOps ops(model, batch, options);
  Outputs outputs;
  at::Tensor x = TorchOps::In(Embed(shape, ops));
  if (options.hidden_states) outputs.hidden_states.push_back(x);
  for (int i = 0; i < static_cast<int>(shape.layers.size()); ++i) {
    LayerOutputs layer;
    if (options.recompute) {
      layer = Recomputed(model, i, shape.layers[i], x, batch, options);
    } else {
      // What flows back into a layer's input is added up inside the layer first, recomputed or not: the same
      // bits.
      at::Tensor entered = at::alias(x);
      x.reset();
      layer = ComputeLayer(model, i, shape.layers[i], std::move(entered), batch, options);
    }
    x = layer.state;
    if (options.routing) outputs.routing.push_back(std::move(layer.routing));
    if (options.attention_logits) outputs.attention_logits.push_back(std::move(layer.attention_logits));
    if (options.kernel_logits) outputs.kernel_logits.push_back(std::move(layer.kernel_logits));
    if (options.projections) outputs.projections.push_back(std::move(layer.projections));
    if (options.mixer_states) outputs.mixer_states.push_back(std::move(layer.mixer_state));
    if (options.hidden_states) outputs.hidden_states.push_back(x);
  }
  outputs.last_hidden_state = x;
  if (model.classes > 0 && model.head == TaskHead::kMaskedTokens) {
    if (batch.labels.defined()) outputs.logits = MlmLogits(model, x, batch.labels);
  } else if (model.classes > 0) {
    outputs.logits = TorchOps::In(RunHead(shape, model.classes, model.head, TorchOps::Of(x), ops));
  }
  return outputs;
}

}  // namespace thimble::models
