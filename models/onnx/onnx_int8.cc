#include "models/onnx/onnx_int8.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "models/finite.h"
#include "models/torch/listener.h"

namespace thimble::models {
namespace {

// How far the inputs' spread is moved into the weights. Students that were cut have a few directions far
// larger than the rest: 0.7 kept more of their answers than 0.5 and 0.9.
constexpr double kSmoothing = 0.7;
// Of the mean channel: one that the rows never use, behind a relu say, may be used later.
constexpr double kSmallest = 0.1;

// The largest magnitude of each channel that each linear but the head read so far.
class Magnitudes final : public Listener {
 public:
  void OnLinear(const std::string& name, const at::Tensor& input, const at::Tensor&) override {
    if (name == "head" || input.numel() == 0) return;  // an expert may have got no token
    const at::Tensor largest = input.abs().reshape({-1, input.size(-1)}).amax(0);
    at::Tensor& kept = found[name];
    kept = kept.defined() ? at::maximum(kept, largest) : largest;
  }
  std::map<std::string, at::Tensor> found;
};

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
  Magnitudes magnitudes;
  for (const Batch& batch : batches) {
    THIMBLE_CHECK(batch.rows() == 1, "batches of one row");
    const Outputs outputs = Forward(model, batch, ForLogits(model, {.listener = &magnitudes}));
    if (!AllFinite(outputs.logits.defined() ? outputs.logits : outputs.last_hidden_state))
      throw WorkFailed("the rows that eight bits are fitted to",
                       "the model says NaN or infinity, beginning with " + FirstNonFinite(model, batch));
  }
  return std::move(magnitudes.found);
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
