#include "models/onnx_int8.h"

#include <ATen/record_function.h>
#include <torch/torch.h>

#include "base/error.h"

namespace thimble::models {
namespace {

// How far the inputs' spread is moved into the weights. Students that were cut have a few directions far
// larger than the rest: 0.7 kept more of their answers than 0.5 and 0.9.
constexpr double kSmoothing = 0.7;
constexpr double kSmallest = 1e-5;  // of a channel that is never used

// Sees every linear while it lives, on its thread: the weight tells which it is.
class LinearInputs {
 public:
  explicit LinearInputs(const Model& model) {
    for (const auto& [name, tensor] : model.weights) {
      const size_t stem = name.rfind(".weight");
      if (tensor.dim() == 2 && stem != std::string::npos)
        names_[tensor.const_data_ptr()] = name.substr(0, stem);
    }
    current_ = this;
    handle_ = at::addThreadLocalCallback(
        at::RecordFunctionCallback(&See).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  }
  ~LinearInputs() {
    at::removeCallback(handle_);
    current_ = nullptr;
  }
  LinearInputs(const LinearInputs&) = delete;
  LinearInputs& operator=(const LinearInputs&) = delete;

  const std::map<std::string, at::Tensor>& magnitudes() const { return magnitudes_; }

 private:
  static std::unique_ptr<at::ObserverContext> See(const at::RecordFunction& function) {
    if (std::string_view(function.name()) == "aten::linear") {
      const auto inputs = function.inputs();
      current_->Add(inputs[0].toTensor(), inputs[1].toTensor());
    }
    return nullptr;
  }

  void Add(const at::Tensor& x, const at::Tensor& weight) {
    const auto found = names_.find(weight.const_data_ptr());
    if (found == names_.end()) return;
    const at::Tensor largest = x.abs().reshape({-1, x.size(-1)}).amax(0);
    at::Tensor& kept = magnitudes_[found->second];
    kept = kept.defined() ? at::maximum(kept, largest) : largest;
  }

  static thread_local LinearInputs* current_;
  std::map<const void*, std::string> names_;
  std::map<std::string, at::Tensor> magnitudes_;
  at::CallbackHandle handle_ = 0;
};
thread_local LinearInputs* LinearInputs::current_ = nullptr;

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
  const LinearInputs inputs(model);
  for (const Batch& batch : batches) {
    THIMBLE_CHECK(batch.rows() == 1, "batches of one row");
    Forward(model, batch);
  }
  return inputs.magnitudes();
}

at::Tensor SmoothingFactors(const at::Tensor& input_magnitudes, const std::vector<at::Tensor>& weights) {
  at::Tensor largest = at::zeros_like(input_magnitudes);
  for (const at::Tensor& weight : weights) largest = at::maximum(largest, weight.detach().abs().amax(0));
  const at::Tensor factors = input_magnitudes.clamp_min(kSmallest).pow(kSmoothing) /
                             largest.clamp_min(kSmallest).pow(1 - kSmoothing);
  return factors / factors.log().mean().exp();
}

}  // namespace thimble::models
