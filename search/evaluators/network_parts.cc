#include "search/evaluators/network_parts.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <string>

#include "base/error.h"
#include "models/encoder/encoder.h"
#include "models/torch/listener.h"

namespace thimble::search {
namespace {

class Inner final : public models::Listener {
 public:
  void OnLinear(const std::string& name, const at::Tensor&, const at::Tensor& output) override {
    if (name.ends_with(".up")) states.push_back(output);
  }
  std::vector<at::Tensor> states;
};

}  // namespace

std::vector<at::Tensor> InnerStates(const models::Model& network, const models::Batch& rows) {
  Inner inner;
  models::Forward(network, rows, {.listener = &inner});
  return inner.states;
}

std::vector<at::Tensor> InnerTokens(const models::Model& network, const models::Batch& rows) {
  constexpr int64_t kGroup = 16;  // rows
  const at::NoGradGuard no_grad;
  const auto [lengths, order] = rows.mask.sum(1).to(at::kLong).sort();
  std::vector<std::vector<at::Tensor>> found;  // by block
  for (int64_t first = 0; first < rows.rows(); first += kGroup) {
    const int64_t count = std::min(kGroup, rows.rows() - first);
    const at::Tensor own = order.narrow(0, first, count);
    const auto length = lengths[first + count - 1].item<int64_t>();
    const auto part = [&](const at::Tensor& all) {
      return all.index_select(0, own).narrow(1, 0, length).contiguous();
    };
    const models::Batch group{
        .ids = part(rows.ids), .segments = part(rows.segments), .mask = part(rows.mask)};
    const auto states = InnerStates(network, group);
    found.resize(states.size());
    const at::Tensor real = group.mask.flatten().nonzero().squeeze(1);
    for (size_t i = 0; i < states.size(); ++i)
      found[i].push_back(states[i].flatten(0, 1).index_select(0, real));
  }
  std::vector<at::Tensor> all;
  for (const auto& parts : found) all.push_back(at::cat(parts));
  return all;
}

at::Tensor SummedAnswers(const models::Model& network, const models::Outputs& outputs,
                         const models::Batch& rows) {
  THIMBLE_CHECK(outputs.logits.defined() && network.head != models::TaskHead::kMaskedTokens,
                "a network without answers");
  return network.head == models::TaskHead::kTokens ? (outputs.logits * rows.mask.unsqueeze(2)).sum()
                                                   : outputs.logits.sum();
}

std::vector<WeightGradient> Gradients(const models::Model& network, const models::Batch& rows, Part part) {
  std::vector<std::string> scopes;
  for (size_t i = 0; i < network.shape.layers.size(); ++i)
    scopes.push_back(part == Part::kMixers
                         ? models::MixerScope(static_cast<int>(i), network.shape.layers[i].mixer) + "."
                         : "layer." + std::to_string(i) + ".ffn.");
  std::vector<at::Tensor> weights;
  for (const auto& [name, tensor] : network.weights)
    for (const std::string& scope : scopes)
      if (name.starts_with(scope) && tensor.dim() == 2) weights.push_back(tensor);
  if (weights.empty()) return {};
  const at::Tensor sum =
      SummedAnswers(network, models::Forward(network, rows, models::ForLogits(network)), rows);
  const auto gradients = torch::autograd::grad({sum}, weights);
  std::vector<WeightGradient> result;
  for (size_t i = 0; i < weights.size(); ++i) result.push_back({weights[i].detach(), gradients[i].detach()});
  return result;
}

}  // namespace thimble::search
