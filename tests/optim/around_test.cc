// What stands around an update rule: groups, layer-wise rates, further passes, averages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "base/config.h"
#include "base/error.h"
#include "optim/optimizer.h"
#include "optim/passes.h"
#include "proto/optimizer.pb.h"
#include "tests/optim/numbers.h"
#include "tests/optim/spec.h"

namespace thimble::optim {
namespace {

// One step of sgd {learning_rate: 1} with a gradient of ones from weights of ones: 1 - what is left is the
// rate.
std::vector<double> Moves(const std::string& around, const std::vector<std::string>& names) {
  Parameters parameters;
  for (const std::string& name : names) {
    parameters.push_back({name, at::ones({1}).requires_grad_(), DecayByName(name)});
    parameters.back().value.mutable_grad() = at::ones({1});
  }
  MakeOptimizer(Spec("sgd {learning_rate: 1 weight_decay: 0.5} " + around), parameters)->Step(1);
  std::vector<double> moves;
  for (const Parameter& parameter : parameters) moves.push_back(1 - parameter.value.item<double>());
  return moves;
}

TEST(Groups, TheFirstMatchSetsRateAndDecay) {
  const std::vector<std::string> names = {"head.weight", "head.bias", "embedding.token", "pooler.weight"};
  EXPECT_THAT(Moves("", names), testing::ElementsAre(1.5, 1, 1.5, 1.5));
  EXPECT_THAT(Moves("group {pattern: 'head.*' rate_factor: 2 weight_decay: 0.25} group {pattern: '*.weight' "
                    "rate_factor: 0.5} group {pattern: 'embedding.*' rate_factor: 0}",
                    names),
              testing::ElementsAre(2.5, 2.5, 0, 0.75));
}

TEST(Groups, APatternWithoutAMatchIsAnError) {
  try {
    Moves("group {pattern: '*'} group {pattern: 'haed.*'}", {"head.weight"});
    FAIL() << "taken";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("group[1].pattern: matches no parameter; got haed.*"));
    EXPECT_THAT(error.what(), testing::HasSubstr("head.weight"));
  }
}

TEST(LayerDecay, LowersRatesTowardsTheEmbeddings) {
  EXPECT_THAT(Moves("layer_decay: 0.5", {"embedding.position.bias", "layer.0.a.bias", "layer.1.a.bias",
                                         "pooler.bias", "head.bias"}),
              testing::ElementsAre(0.125, 0.25, 0.5, 1, 1));
}

// Two tensors under a quartic with mixed terms.
struct Toy {
  at::Tensor a = StartValue(0, {4, 3}).requires_grad_(), b = StartValue(1, {3}).requires_grad_();
  Parameters parameters = {{"a", a}, {"b", b}};
  at::Tensor Loss() const { return (at::matmul(a, b) - 0.3).pow(4).sum() + a.pow(3).sum(); }
};

TEST(Sam, TakesTheGradientAtDistanceRhoUphillAndComesBack) {
  Toy toy;
  const at::Tensor before = toy.a.detach().clone(), before_b = toy.b.detach().clone();
  const auto optimizer = MakeOptimizer(Spec("sgd {learning_rate: 1e-2} sam {rho: 0.1}"), toy.parameters);
  toy.Loss().backward();
  const at::Tensor ga = toy.a.grad().clone(), gb = toy.b.grad().clone();
  ASSERT_TRUE(optimizer->NextPass());
  const double norm = std::sqrt((ga.square().sum() + gb.square().sum()).item<double>());
  EXPECT_TRUE(at::allclose(toy.a.detach() - before, ga * (0.1 / norm), 0, 1e-7));
  EXPECT_TRUE(at::allclose(toy.b.detach() - before_b, gb * (0.1 / norm), 0, 1e-7));
  optimizer->ZeroGradients();
  toy.Loss().backward();
  const at::Tensor sharp = toy.a.grad().clone();
  EXPECT_FALSE(optimizer->NextPass());
  EXPECT_TRUE(toy.a.detach().equal(before));
  EXPECT_TRUE(toy.a.grad().equal(sharp));
  optimizer->Step(1);
  EXPECT_TRUE(at::allclose(before - toy.a.detach(), 1e-2 * sharp, 1e-4, 1e-7));
}

TEST(Sam, TheMaskKeepsTheLargestGradientsOfAllTensors) {
  Toy toy;
  const auto optimizer =
      MakeOptimizer(Spec("sgd {learning_rate: 1e-2} sam {keep: 0.2 refresh: 2}"), toy.parameters);
  const at::Tensor before = toy.a.detach().clone(), before_b = toy.b.detach().clone();
  toy.Loss().backward();
  const at::Tensor all = at::cat({toy.a.grad().flatten(), toy.b.grad()}).abs();
  const at::Tensor moved_least = std::get<0>(all.topk(3)).min();
  ASSERT_TRUE(optimizer->NextPass());
  const at::Tensor moved = at::cat({(toy.a.detach() - before).flatten(), toy.b.detach() - before_b}) != 0;
  EXPECT_TRUE(moved.equal(all >= moved_least));
  EXPECT_EQ(moved.sum().item<int>(), 3);  // of 15
}

TEST(Sam, AGivenUpPassPutsTheWeightsBack) {
  Toy toy;
  const at::Tensor before = toy.a.detach().clone();
  const auto optimizer = MakeOptimizer(Spec("adamw {learning_rate: 1e-2} sam {}"), toy.parameters);
  toy.Loss().backward();
  ASSERT_TRUE(optimizer->NextPass());
  EXPECT_FALSE(toy.a.detach().equal(before));
  optimizer->GiveUpPasses();
  EXPECT_TRUE(toy.a.detach().equal(before));
}

// The difference of two gradients against the second derivatives that autograd tells.
TEST(Passes, TheProductWithTheHessianIsThatOfTwoBackwardPasses) {
  Toy toy;
  float steps = 0;
  Passes passes({.difference = 1e-3, .steps = &steps});
  const at::Tensor a = toy.a.detach().clone(), b = toy.b.detach().clone();
  toy.Loss().backward();
  const at::Tensor first = toy.a.grad().clone();
  ASSERT_TRUE(passes.Next(toy.parameters));
  const at::Tensor za = (toy.a.detach() - a).sign(), zb = (toy.b.detach() - b).sign();
  EXPECT_TRUE((toy.a.detach() - a).abs().allclose(at::full({4, 3}, 1e-3), 0, 1e-7));
  toy.a.mutable_grad().reset();
  toy.b.mutable_grad().reset();
  toy.Loss().backward();
  ASSERT_FALSE(passes.Next(toy.parameters));
  EXPECT_TRUE(toy.a.grad().equal(first));
  EXPECT_TRUE(toy.a.detach().equal(a));
  const auto gradients = torch::autograd::grad({toy.Loss()}, {toy.a, toy.b}, {}, true, true);
  const auto exact =
      torch::autograd::grad({(gradients[0] * za).sum() + (gradients[1] * zb).sum()}, {toy.a, toy.b});
  EXPECT_TRUE(at::allclose(passes.curvature(0), exact[0], 1e-2, 2e-2)) << passes.curvature(0) << exact[0];
  EXPECT_TRUE(at::allclose(passes.curvature(1), exact[1], 1e-2, 2e-2)) << passes.curvature(1) << exact[1];
  EXPECT_EQ(steps, 1);
}

TEST(AdaHessian, AStepWithoutItsPassesIsABrokenInvariant) {
  Toy toy;
  toy.Loss().backward();
  const auto optimizer = MakeOptimizer(Spec("adahessian {learning_rate: 1e-2}"), toy.parameters);
  EXPECT_THROW(optimizer->Step(1), std::logic_error);
}

TEST(Average, FollowsTheFormulaAndIsShownAndHidden) {
  const at::Tensor value = torch::tensor({1.0f, -2.0f}).requires_grad_();
  const auto optimizer =
      MakeOptimizer(Spec("sgd {learning_rate: 0.5 momentum: 0} average {decay: 0.25}"), {{"p", value}});
  at::Tensor want = value.detach().to(at::kDouble);
  for (int step = 0; step < 8; ++step) {
    value.mutable_grad() = torch::tensor({0.25f, -1.0f}) * (step + 1);
    optimizer->Step(1);
    const double decay = std::min(0.25, (1.0 + step) / (10.0 + step));
    want = decay * want + (1 - decay) * value.detach().to(at::kDouble);
  }
  const at::Tensor weights = value.detach().clone();
  optimizer->ShowAverage();
  EXPECT_TRUE(at::allclose(value.detach().to(at::kDouble), want, 1e-6, 0));
  EXPECT_FALSE(value.detach().equal(weights));
  optimizer->HideAverage();
  EXPECT_TRUE(value.detach().equal(weights));
}

TEST(Average, IsNothingUnlessAsked) {
  const at::Tensor value = at::ones({2}).requires_grad_();
  const auto optimizer = MakeOptimizer(Spec("sgd {learning_rate: 0.5}"), {{"p", value}});
  optimizer->ShowAverage();
  EXPECT_TRUE(value.detach().equal(at::ones({2})));
  optimizer->HideAverage();
  EXPECT_EQ(optimizer->State().size(), 1u);
}

}  // namespace
}  // namespace thimble::optim
