// Fitting the linear of wb2: against normal equations, planted weights, and the model's own forward pass.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "distill/start/linear_fit.h"
#include "distill/start/output_path.h"
#include "tests/start/fixtures.h"

namespace thimble::distill {
namespace {

at::Tensor Normal(std::vector<int64_t> sizes, uint64_t seed) {
  Random random(seed);
  at::Tensor x = at::empty(sizes);
  for (int64_t i = 0; i < x.numel(); ++i) x.data_ptr<float>()[i] = static_cast<float>(random.Normal());
  return x;
}

const char* const kExpressions[] = {
    "linear(gelu(linear(x,wb1)),wb2)",
    "gelu(linear(relu(linear(x,wb1)),wb2))",
    "sigmoid(linear(relu(linear(x,wb1)),wb2))",
    "tanh(linear(gelu(linear(x,wb1)),wb2))",
    "relu(linear(gelu(linear(x,wb1)),wb2))",
    "leaky_relu(linear(gelu(linear(x,wb1)),wb2))",
    "elu(linear(gelu(linear(x,wb1)),wb2))",
    "swish(linear(gelu(linear(x,wb1)),wb2))",
    "add(linear(gelu(linear(x,wb1)),wb2),tanh(x))",
    "mul(linear(gelu(linear(x,wb1)),wb2),x)",
    "max(linear(gelu(linear(x,wb1)),wb2),x)",
    "tanh(add(linear(swish(linear(x,wb1)),wb2),x))",
    "mul(x,sigmoid(linear(gelu(linear(x,wb1)),wb2)))",
    "linear(gelu(linear(max(x,tanh(x)),wb1)),wb2)",
    "linear(relu(mul(linear(x,wb1),x)),wb2)",
    "add(max(linear(gelu(linear(x,wb1)),wb2),x),sigmoid(x))",
};

class EveryExpression : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, EveryExpression, testing::ValuesIn(kExpressions));

TEST_P(EveryExpression, PathAndInputGiveTheForwardPass) {
  models::Model model =
      models::MakeModel(Encoder(1, 16, "expression: '" + std::string(GetParam()) + "'"), 0, 0, Random(3));
  at::Tensor x = Normal({7, 16}, 1);
  const models::LayerShape& shape = model.shape.layers[0];
  at::Tensor expected = models::FeedForwardValue(model, 0, 0, shape, x.unsqueeze(0)).squeeze(0);
  at::Tensor memory;
  const auto [input, path] = ReadFeedForward(model, 0, 0, shape, x, &memory);
  at::Tensor u = models::Linear(model, "layer.0.ffn.0.down", input);
  EXPECT_LT((path.Apply(u) - expected).abs().max().item<double>(), 1e-6);
  // Central differences of float32 functions: three digits, but for the few elements at a kink.
  u = Normal({7, 16}, 9);
  at::Tensor numeric = (path.Apply(u + 1e-2) - path.Apply(u - 1e-2)) / 2e-2;
  at::Tensor off = (numeric - path.Derivative(u)).abs();
  EXPECT_LT(off.median().item<double>(), 2e-3);
}

// More rows than are computed at once.
TEST_P(EveryExpression, ReadsManyRowsAsFew) {
  const models::Model model =
      models::MakeModel(Encoder(1, 8, "expression: '" + std::string(GetParam()) + "'"), 0, 0, Random(3));
  const models::LayerShape& shape = model.shape.layers[0];
  const at::Tensor x = Normal({5000, 8}, 1), u = Normal({5000, 8}, 2);
  at::Tensor memory, few_memory;
  const auto [input, path] = ReadFeedForward(model, 0, 0, shape, x, &memory);
  const at::Tensor value = path.Apply(u), every_third = path.Every(3).Apply(u.slice(0, 0, 5000, 3));
  EXPECT_LT((every_third - value.slice(0, 0, 5000, 3)).abs().max().item<float>(), 1e-6);
  for (const int64_t first : {0, 2000, 4096, 4990}) {
    const auto few = ReadFeedForward(model, 0, 0, shape, x.slice(0, first, first + 10), &few_memory);
    EXPECT_LT((input.slice(0, first, first + 10) - few.input).abs().max().item<float>(), 1e-5) << first;
    EXPECT_LT((value.slice(0, first, first + 10) - few.path.Apply(u.slice(0, first, first + 10)))
                  .abs()
                  .max()
                  .item<float>(),
              1e-5)
        << first;
  }
}

TEST_P(EveryExpression, FitComesNearPlantedWeights) {
  models::Model model =
      models::MakeModel(Encoder(1, 8, "expression: '" + std::string(GetParam()) + "'"), 0, 0, Random(3));
  at::Tensor x = Normal({600, 8}, 1), a = Normal({600, 8}, 2);
  at::Tensor memory;
  const OutputPath path = ReadFeedForward(model, 0, 0, model.shape.layers[0], x, &memory).path;
  at::Tensor planted = 0.5 * Normal({8, 8}, 4), bias = 0.3 * Normal({8}, 5);
  at::Tensor y = path.Apply(at::linear(a, planted, bias));
  LinearWeights zero{at::zeros({8, 8}), at::zeros({8})};
  LinearWeights fitted = LinearFit(Centred(a.clone()), 1e-6).Solve(path, y, zero);
  auto error = [&](const LinearWeights& w) {
    at::Tensor e = y - path.Apply(at::linear(a, w.weight, w.bias));
    return (e * e).sum().item<double>();
  };
  at::Tensor spread = y - path.Apply(at::zeros_like(y));
  EXPECT_LT(error(fitted), 0.02 * (spread * spread).sum().item<double>());
}

using models::Operator;

// Nodes that need not be a tree, with "up" and "down" as the linears.
models::LayerShape WithNodes(const models::Model& model, std::vector<models::Node> nodes) {
  models::LayerShape shape = model.shape.layers[0];
  shape.expression = models::Expression::FromNodes(std::move(nodes));
  return shape;
}

// As an operator that reads its operand twice does.
TEST(OutputPathTest, MayReadTheOutputTwice) {
  const models::Model model = models::MakeModel(Encoder(1, 8, kBertBlock), 0, 0, Random(3));
  const at::Tensor x = Normal({9, 8}, 1);
  const std::vector<models::Node> linears = {
      {Operator::kInput}, {Operator::kLinear1, 0}, {Operator::kRelu, 1}, {Operator::kLinear2, 2}};
  for (const auto op : {Operator::kMul, Operator::kAdd}) {
    std::vector<models::Node> nodes = linears;
    nodes.insert(nodes.end(), {{Operator::kSigmoid, 3}, {op, 3, 4}, {Operator::kTanh, 5}});
    const models::LayerShape shape = WithNodes(model, nodes);
    const at::Tensor expected = models::FeedForwardValue(model, 0, 0, shape, x.unsqueeze(0)).squeeze(0);
    at::Tensor memory;
    const auto [input, path] = ReadFeedForward(model, 0, 0, shape, x, &memory);
    const at::Tensor u = models::Linear(model, "layer.0.ffn.0.down", input);
    EXPECT_LT((path.Apply(u) - expected).abs().max().item<float>(), 1e-6);
    const at::Tensor numeric = (path.Apply(u + 1e-2) - path.Apply(u - 1e-2)) / 2e-2;
    EXPECT_LT((numeric - path.Derivative(u)).abs().max().item<float>(), 2e-3);
    EXPECT_FALSE(path.affine());
    EXPECT_FALSE(path.Start(expected).defined());
  }
  std::vector<models::Node> twice = linears;
  twice.push_back({Operator::kAdd, 3, 3});
  at::Tensor memory;
  const OutputPath path = ReadFeedForward(model, 0, 0, WithNodes(model, twice), x, &memory).path;
  EXPECT_FALSE(path.affine());  // it is not u and a constant
  EXPECT_TRUE(path.Apply(x).equal(x + x));
}

TEST(OutputPathTest, RefusesWhatIsNoElementWiseEnd) {
  const models::Model model = models::MakeModel(Encoder(1, 8, kBertBlock), 0, 0, Random(3));
  const at::Tensor x = Normal({9, 8}, 1);
  const auto read = [&](std::vector<models::Node> nodes) -> std::string {
    at::Tensor memory;
    try {
      ReadFeedForward(model, 0, 0, WithNodes(model, std::move(nodes)), x, &memory);
    } catch (const std::logic_error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(
      read({{Operator::kInput}, {Operator::kLinear2, 0}, {Operator::kRelu, 1}, {Operator::kLinear1, 2}}),
      testing::HasSubstr("layer.0.ffn.0.up stands behind layer.0.ffn.0.down"));
  EXPECT_THAT(
      read({{Operator::kInput}, {Operator::kLinear2, 0}, {Operator::kLinear2, 0}, {Operator::kAdd, 1, 2}}),
      testing::HasSubstr("stands twice"));
  EXPECT_THAT(read({{Operator::kInput}, {Operator::kLinear1, 0}, {Operator::kRelu, 1}}),
              testing::HasSubstr("not what the block's value is made of"));
  EXPECT_THAT(read({{Operator::kInput}, {Operator::kLinear2, 0}, {Operator::kRelu, 0}}),
              testing::HasSubstr("not what the block's value is made of"));
}

TEST(LinearFitTest, AffineSolutionIsThatOfTheNormalEquations) {
  at::Tensor a = Normal({50, 6}, 1) + 2, y = Normal({50, 3}, 2) - 1, sliced = Normal({3, 6}, 3);
  LinearWeights fitted = LinearFit(Centred(a.clone()), 0.1).Solve({}, y, {sliced, at::zeros({3})});
  at::Tensor c = (a - a.mean(0)).to(at::kDouble), target = (y - y.mean(0)).to(at::kDouble);
  at::Tensor gram = c.t().matmul(c), w0 = sliced.t().to(at::kDouble);
  double lambda = 0.1 * gram.diagonal().mean().item<double>();
  at::Tensor w =
      at::linalg_solve(gram + lambda * at::eye(6, at::kDouble), c.t().matmul(target) + lambda * w0);
  EXPECT_LT((w.t() - fitted.weight).abs().max().item<double>(), 1e-5);
  at::Tensor bias = y.mean(0) - fitted.weight.mv(a.mean(0));
  EXPECT_LT((bias - fitted.bias).abs().max().item<double>(), 1e-5);
}

TEST(LinearFitTest, GramMatrixOfManyBlocksAndRows) {
  at::Tensor x = Normal({5000, 401}, 1), wide = x.to(at::kDouble);
  EXPECT_LT((Gram(x) - wide.t().matmul(wide)).abs().max().item<double>(), 5e-3);
  EXPECT_LT((ColumnSums(x) - wide.sum(0)).abs().max().item<double>(), 1e-4);
  EXPECT_LT((ColumnSums(x.slice(0, 0, 3)) - wide.slice(0, 0, 3).sum(0)).abs().max().item<double>(), 1e-6);
}

TEST(LinearFitTest, CentredInputGivesTheLinearsValue) {
  at::Tensor a = Normal({50, 6}, 1) + 2, weight = Normal({3, 6}, 3), bias = Normal({3, 1}, 4).squeeze(1);
  const Centred centred(a.clone());
  EXPECT_LT(centred.x.mean(0).abs().max().item<double>(), 1e-6);
  const at::Tensor expected = at::linear(a, weight, bias);
  EXPECT_LT((centred.Apply({weight, bias}) - expected).abs().max().item<double>(), 1e-5);
  EXPECT_LT((centred.Every(7).Apply({weight, bias}) - expected.slice(0, 0, 50, 7)).abs().max().item<double>(),
            1e-5);
}

TEST(LinearFitTest, StrongRidgeKeepsTheSlicedWeights) {
  at::Tensor a = Normal({50, 6}, 1), sliced = Normal({3, 6}, 3);
  LinearWeights fitted =
      LinearFit(Centred(a.clone()), 1e7).Solve({}, Normal({50, 3}, 2), {sliced, at::zeros({3})});
  EXPECT_LT((fitted.weight - sliced).abs().max().item<double>(), 1e-5);
}

TEST(LinearFitTest, ConstantInputFitsTheBiasAlone) {
  at::Tensor a = at::ones({4, 6}), y = Normal({4, 3}, 2), sliced = Normal({3, 6}, 3);
  LinearWeights fitted = LinearFit(Centred(a.clone()), 0.01).Solve({}, y, {sliced, at::zeros({3})});
  EXPECT_TRUE(fitted.weight.equal(sliced));
  EXPECT_LT((at::linear(a, fitted.weight, fitted.bias).mean(0) - y.mean(0)).abs().max().item<double>(), 1e-5);
}

}  // namespace
}  // namespace thimble::distill
