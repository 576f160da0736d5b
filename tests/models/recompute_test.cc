// Layers that are computed again on the way back: the same bits as layers whose inner states are kept.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>

#include <ATen/autocast_mode.h>

#include <set>

#include "models/encoder/resolve.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

struct Result {
  double value = 0;
  std::vector<std::pair<std::string, at::Tensor>> gradients;
};

Result Backward(Model* model, const Batch& batch, ForwardOptions options, bool recompute, double dropout) {
  Result result;
  model->weights.RequireGrad(true);
  for (const auto& [name, tensor] : model->weights) tensor.mutable_grad() = at::Tensor();
  Random random(3);
  options.recompute = recompute;
  options.dropout = {.probability = dropout, .random = &random};
  const auto outputs = Forward(*model, batch, options);
  at::Tensor loss = outputs.logits.to(at::kFloat).square().sum();
  for (const auto& state : outputs.hidden_states) loss = loss + state.to(at::kFloat).sin().sum();
  for (const auto& scores : outputs.attention_logits) loss = loss + scores.to(at::kFloat).square().mean();
  for (const auto& each : outputs.projections)
    loss = loss + (each.query * each.key).to(at::kFloat).mean() + each.value.to(at::kFloat).cos().sum();
  loss.backward();
  result.value = loss.item<double>();
  for (const auto& [name, tensor] : model->weights) {
    result.gradients.emplace_back(name, tensor.grad().defined() ? tensor.grad().clone() : at::Tensor());
    tensor.mutable_grad() = at::Tensor();
  }
  model->weights.RequireGrad(false);
  return result;
}

void ExpectSame(const Result& kept, const Result& recomputed) {
  EXPECT_EQ(kept.value, recomputed.value);
  int compared = 0;
  for (size_t i = 0; i < kept.gradients.size(); ++i) {
    const auto& [name, expected] = kept.gradients[i];
    const auto& got = recomputed.gradients[i].second;
    ASSERT_EQ(expected.defined(), got.defined()) << name;
    if (!expected.defined()) continue;
    EXPECT_TRUE(at::equal(expected, got)) << name;
    compared += expected.abs().max().item<double>() > 0;
  }
  EXPECT_GT(compared, 40);
}

const std::string kText = std::string(kTrigram) + LayerText(kGeluBlock, 2) +
                          LayerText("linear(relu(mul(linear(x,wb1),x)),wb2)", 3, "1/2") +
                          LayerText(kGeluBlock);

TEST(RecomputeTest, SameBitsWhateverIsAskedFor) {
  auto model = ShakenModel(kText);
  const auto batch = MakeBatch({9, 5, 7});
  for (const bool scores : {false, true})
    for (const bool projections : {false, true})
      for (const double dropout : {0.0, 0.3}) {
        SCOPED_TRACE(::testing::Message() << scores << projections << dropout);
        const ForwardOptions options{
            .hidden_states = scores, .attention_logits = scores, .projections = projections};
        ExpectSame(Backward(&model, batch, options, false, dropout),
                   Backward(&model, batch, options, true, dropout));
      }
}

TEST(RecomputeTest, SameBitsOfTheFirstTokenAlone) {
  auto model = ShakenModel(kText);
  const auto batch = MakeBatch({9, 5, 7});
  const ForwardOptions options{.first_token_only = true};
  ExpectSame(Backward(&model, batch, options, false, 0.3), Backward(&model, batch, options, true, 0.3));
}

TEST(RecomputeTest, SameBitsOfACandidateAndUnderAutocast) {
  auto model = ShakenModel(kText);
  const auto batch = MakeBatch({9, 5, 7});
  const auto small = Resolve(Architecture(std::string(kTrigram) + LayerText(kGeluBlock) +
                                          LayerText("linear(tanh(linear(x,wb1)),wb2)", 2, "1/3") +
                                          LayerText(kGeluBlock, 1, "1/2")));
  const ForwardOptions options{.candidate = &small, .hidden_states = true, .attention_logits = true};
  ExpectSame(Backward(&model, batch, options, false, 0.1), Backward(&model, batch, options, true, 0.1));

  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_cache_enabled(false);
  const auto kept = Backward(&model, batch, options, false, 0.1);
  const auto recomputed = Backward(&model, batch, options, true, 0.1);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::set_autocast_cache_enabled(true);
  ExpectSame(kept, recomputed);
}

// Nodes of autograd's graph, each of which keeps what it needs for its way back; weights included.
size_t Nodes(Model* model, bool recompute) {
  model->weights.RequireGrad(true);
  const auto outputs = Forward(*model, MakeBatch({9, 5, 7}), {.recompute = recompute});
  std::vector<torch::autograd::Node*> todo = {outputs.last_hidden_state.grad_fn().get()};
  std::set<torch::autograd::Node*> seen;
  while (!todo.empty()) {
    auto* node = todo.back();
    todo.pop_back();
    if (node == nullptr || !seen.insert(node).second) continue;
    for (const auto& edge : node->next_edges()) todo.push_back(edge.function.get());
  }
  model->weights.RequireGrad(false);
  return seen.size();
}

TEST(RecomputeTest, ALayerMoreIsOneNodeMore) {
  auto one = ShakenModel(std::string(kTrigram) + LayerText(kGeluBlock));
  auto two = ShakenModel(std::string(kTrigram) + LayerText(kGeluBlock) + LayerText(kGeluBlock, 4));
  const size_t leaves = two.weights.size() - one.weights.size();  // an accumulator a weight
  EXPECT_EQ(Nodes(&two, true), Nodes(&one, true) + 1 + leaves);
  EXPECT_GT(Nodes(&two, false), Nodes(&one, false) + 20 + leaves);
}

}  // namespace
}  // namespace thimble::models
