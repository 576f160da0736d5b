#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <ATen/autocast_mode.h>

#include <array>

#include "base/error.h"
#include "models/torch/autocast.h"
#include "models/torch/layer.h"

namespace thimble::models {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr size_t kOutputs = 8;  // of LayerOutputs

// What it takes to run a layer twice.
struct Plan : torch::CustomClassHolder {
  const Model* model;
  int index;
  LayerShape layer;
  Batch batch;
  ForwardOptions options;
  Random random = Random(0);  // before the layer's first draw
  bool autocast = false;      // the way back runs outside of the forward pass' scope
  std::array<bool, kOutputs> made =
      {};  // which outputs there are: not every mixer has scores, queries, keys and values
};

std::array<at::Tensor*, kOutputs> Tensors(LayerOutputs* outputs) {
  return {&outputs->state,           &outputs->attention_logits,
          &outputs->kernel_logits,   &outputs->projections.query,
          &outputs->projections.key, &outputs->projections.value,
          &outputs->routing,         &outputs->mixer_state};
}

// Those that were made, and which.
variable_list Flat(LayerOutputs outputs, std::array<bool, kOutputs>* made) {
  variable_list all;
  const auto tensors = Tensors(&outputs);
  for (size_t i = 0; i < tensors.size(); ++i) {
    (*made)[i] = tensors[i]->defined();
    if (tensors[i]->defined()) all.push_back(*tensors[i]);
  }
  return all;
}

LayerOutputs Unflat(const variable_list& all, const std::array<bool, kOutputs>& made) {
  size_t next = 0;
  LayerOutputs outputs;
  const auto tensors = Tensors(&outputs);
  for (size_t i = 0; i < tensors.size(); ++i)
    if (made[i]) *tensors[i] = all[next++];
  return outputs;
}

// Inputs: the layer's input, then its weights, for autograd to see that the outputs depend on them.
class RecomputedFunction : public torch::autograd::Function<RecomputedFunction> {
 public:
  static variable_list forward(AutogradContext* context, at::TensorList inputs,
                               const c10::intrusive_ptr<Plan>& plan) {
    context->save_for_backward({inputs.begin(), inputs.end()});
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return Flat(ComputeLayer(*plan->model, plan->index, plan->layer, inputs[0], plan->batch, plan->options),
                &plan->made);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto plan = c10::static_intrusive_pointer_cast<Plan>(context->saved_data["plan"].toCapsule());
    variable_list inputs = context->get_saved_variables();
    inputs[0] = inputs[0].detach().requires_grad_(inputs[0].requires_grad());
    variable_list outputs;
    {
      const at::AutoGradMode with_grad(true);
      const Autocast autocast(plan->autocast);
      Random random = plan->random;
      ForwardOptions options = plan->options;
      options.dropout.random = &random;
      std::array<bool, kOutputs> made;
      outputs =
          Flat(ComputeLayer(*plan->model, plan->index, plan->layer, inputs[0], plan->batch, options), &made);
    }
    variable_list reached, arrived, sought;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!gradients[i].defined() || !outputs[i].requires_grad()) continue;
      reached.push_back(outputs[i]);
      arrived.push_back(gradients[i]);
    }
    for (const auto& input : inputs)
      if (input.requires_grad()) sought.push_back(input);
    const auto found = torch::autograd::grad(reached, sought, arrived, /*retain_graph=*/std::nullopt,
                                             /*create_graph=*/false, /*allow_unused=*/true);
    variable_list result;
    auto next = found.begin();
    for (const auto& input : inputs) result.push_back(input.requires_grad() ? *next++ : at::Tensor());
    result.emplace_back();  // of the plan
    return result;
  }
};

}  // namespace

LayerOutputs Recomputed(const Model& model, int index, const LayerShape& layer, const at::Tensor& input,
                        const Batch& batch, const ForwardOptions& options) {
  if (!at::GradMode::is_enabled()) return ComputeLayer(model, index, layer, input, batch, options);
  auto plan = c10::make_intrusive<Plan>();
  plan->model = &model;
  plan->index = index;
  plan->layer = layer;
  plan->batch = batch;
  plan->options = options;
  if (options.dropout.random != nullptr) plan->random = *options.dropout.random;
  plan->autocast = at::autocast::is_autocast_enabled(at::kCPU);
  std::vector<at::Tensor> inputs = {input};
  const std::string prefix = "layer." + std::to_string(index) + ".";
  for (const auto& [name, tensor] : model.weights)
    if (name.compare(0, prefix.size(), prefix) == 0) inputs.push_back(tensor);
  const variable_list outputs = RecomputedFunction::apply(at::TensorList(inputs), plan);
  return Unflat(outputs, plan->made);
}

}  // namespace thimble::models
