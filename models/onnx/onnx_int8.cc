#include "models/onnx/onnx_int8.h"

#include <torch/torch.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"

namespace thimble::models {
namespace {

// How far the inputs' spread is moved into the weights. Students that were cut have a few directions far
// larger than the rest: 0.7 kept more of their answers than 0.5 and 0.9.
constexpr double kSmoothing = 0.7;
// Of the mean channel: one that the rows never use, behind a relu say, may be used later.
constexpr double kSmallest = 0.1;

// What enters wb1: the expression up to there.
at::Tensor FirstInput(const Model& model, int layer, int stack, const at::Tensor& x) {
  LayerShape part = model.shape.layers[layer];
  const auto& nodes = part.expression.nodes();
  const auto first = std::find_if(nodes.begin(), nodes.end(),
                                  [](const auto& node) { return node.op == Operator::kLinear1; });
  THIMBLE_CHECK(first != nodes.end(), part.expression.ToString());
  part.expression = Expression::FromNodes({nodes.begin(), std::next(nodes.begin(), first->left + 1)});
  return FeedForwardValue(model, layer, stack, part, x);
}

}  // namespace

Int8Matrix ToInt8(const at::Tensor& matrix, int largest) {
  THIMBLE_CHECK(matrix.dim() == 2 && largest > 0 && largest <= 127, "a matrix, in eight bits");
  const at::Tensor rows = matrix.detach().to(at::kCPU, at::kFloat);
  const at::Tensor magnitudes = rows.abs().amax(1);
  // A row of zeros stays one under any scale.
  const at::Tensor scales = at::where(magnitudes > 0, magnitudes / largest, at::ones_like(magnitudes));
  return {(rows / scales.unsqueeze(1)).round().clamp(-largest, largest).to(at::kChar), scales};
}

std::map<std::string, at::Tensor> InputMagnitudes(const Model& model, const std::vector<Batch>& batches) {
  const c10::InferenceMode inference;
  std::map<std::string, at::Tensor> magnitudes;
  const auto keep = [&](const std::string& linear, const at::Tensor& x) {
    const at::Tensor largest = x.abs().reshape({-1, x.size(-1)}).amax(0);
    at::Tensor& kept = magnitudes[linear];
    kept = kept.defined() ? at::maximum(kept, largest) : largest;
  };
  for (const Batch& batch : batches) {
    THIMBLE_CHECK(batch.rows() == 1, "batches of one row");
    if (model.shape.projected() > 0) keep("embedding.project", EmbeddingInput(model, batch));
    at::Tensor x = Normalise(model, "embedding.norm", EmbeddingSum(model, batch));
    for (int layer = 0; layer < static_cast<int>(model.shape.layers.size()); ++layer) {
      const std::string scope = "layer." + std::to_string(layer), attention = scope + ".attention";
      const LayerShape& shape = model.shape.layers[layer];
      const std::string bottleneck = scope + ".bottleneck.";
      const at::Tensor entered = x;
      if (model.shape.bottleneck > 0) keep(bottleneck + "in", entered);
      if (model.shape.share_query_key) keep(bottleneck + "qk", entered);
      const LayerInput input = EnterLayer(model, layer, entered);
      for (const char* name : {".query", ".key"}) keep(attention + name, input.query_key);
      keep(attention + ".value", input.value);
      const at::Tensor context = Attend(model, layer, input.query_key, batch, {}, &input.value).context;
      keep(attention + ".out", context);
      x = Normalise(model, attention + ".norm", input.residual + Linear(model, attention + ".out", context));
      for (int stack = 0; stack < shape.stacks; ++stack) {
        const std::string block = scope + ".ffn." + std::to_string(stack);
        keep(block + ".up", FirstInput(model, layer, stack, x));
        at::Tensor second;
        const at::Tensor value = FeedForwardValue(model, layer, stack, shape, x, &second);
        keep(block + ".down", second);
        x = Normalise(model, block + ".norm", x + value);
      }
      if (model.shape.bottleneck > 0) keep(bottleneck + "out", x);
      x = LeaveLayer(model, layer, entered, x);
    }
    if (model.weights.Has("pooler.weight")) keep("pooler", x.select(1, 0));
  }
  return magnitudes;
}

at::Tensor SmoothingFactors(const at::Tensor& input_magnitudes, const std::vector<at::Tensor>& weights) {
  at::Tensor largest = at::zeros_like(input_magnitudes);
  for (const at::Tensor& weight : weights) largest = at::maximum(largest, weight.detach().abs().amax(0));
  const auto raised = [](const at::Tensor& x, double power) {
    return at::maximum(x, (x.mean() * kSmallest).clamp_min(1e-30)).pow(power);
  };
  const at::Tensor factors = raised(input_magnitudes, kSmoothing) / raised(largest, 1 - kSmoothing);
  return factors / factors.log().mean().exp();
}

}  // namespace thimble::models
