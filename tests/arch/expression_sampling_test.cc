#include "models/arch/expression_sampling.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace thimble::models {
namespace {

ExpressionRules Published() { return PublishedRules({{540, 540}, {540, 270}, {540, 180}, {540, 135}}); }

// The rules spelt out once more, by what they say rather than by what the sampler asks.
void ExpectWithin(const Expression& expression, const ExpressionRules& rules) {
  const std::string text = expression.ToString();
  EXPECT_EQ(expression.WhyInvalid(rules.min_height, rules.max_height), "") << text;
  for (const auto& [hidden, inner] : rules.widths)
    EXPECT_EQ(expression.WhyWidthsFail(hidden, inner), "") << text;
  for (const Node& node : expression.nodes()) {
    if (IsUnary(node.op)) {
      EXPECT_EQ(std::count(rules.unary.begin(), rules.unary.end(), node.op), 1) << text;
    }
    if (IsBinary(node.op)) {
      EXPECT_EQ(std::count(rules.binary.begin(), rules.binary.end(), node.op), 1) << text;
    }
  }
  EXPECT_EQ(Expression::Parse(text).ToString(), text);
}

TEST(ExpressionSamplingTest, DrawsAreValidVariedAndSpreadOverHeights) {
  const ExpressionSampler sampler(Published());
  Random random(1);
  std::map<int, int> heights;
  std::set<std::string> forms;
  const int kDraws = 7000;
  for (int i = 0; i < kDraws; ++i) {
    const Expression expression = sampler.Draw(&random);
    ExpectWithin(expression, Published());
    ++heights[expression.Height()];
    forms.insert(expression.Canonical());
  }
  // Uniform over 3 to 7: 1,400 each, four standard deviations are 134.
  ASSERT_EQ(heights.size(), 5u);
  for (const auto& [height, count] : heights) EXPECT_NEAR(count, kDraws / 5, 134) << height;
  EXPECT_GT(forms.size(), kDraws / 2u);
}

TEST(ExpressionSamplingTest, EveryLowTreeComesOut) {
  // By hand, height 3 from {tanh}, {add}: the tanh of the inner product, or that product and a side branch
  // added.
  ExpressionRules rules{.unary = {Operator::kTanh},
                        .binary = {Operator::kAdd},
                        .max_height = 3,
                        .widths = {{540, 540}, {540, 270}}};
  const ExpressionSampler sampler(rules);
  Random random(2);
  std::set<std::string> seen;
  for (int i = 0; i < 2000; ++i) seen.insert(sampler.Draw(&random).ToString());
  const std::set<std::string> expected = {
      "linear(tanh(linear(x,wb1)),wb2)", "linear(add(linear(x,wb1),x),wb2)",
      "linear(add(x,linear(x,wb1)),wb2)", "linear(add(linear(x,wb1),tanh(x)),wb2)",
      "linear(add(tanh(x),linear(x,wb1)),wb2)"};
  EXPECT_EQ(seen, expected);
}

TEST(ExpressionSamplingTest, ParallelLinearsOnlyWhereTheInnerWidthIsTheHiddenOne) {
  ExpressionRules rules = Published();
  const auto parallel = Expression::Parse("gelu(add(linear(x,wb1),gelu(linear(x,wb2))))");
  EXPECT_NE(ExpressionSampler(rules).WhyOutside(parallel), "");
  rules.widths = {{540, 540}};
  const ExpressionSampler square(rules);
  EXPECT_EQ(square.WhyOutside(parallel), "");
  Random random(3);
  int in_parallel = 0;
  for (int i = 0; i < 2000; ++i) {
    const Expression expression = square.Draw(&random);
    ExpectWithin(expression, rules);
    in_parallel += !expression.WhyWidthsFail(540, 270).empty();
  }
  EXPECT_GT(in_parallel, 100);
}

TEST(ExpressionSamplingTest, InnerWidthsAboveAndBelowTheHiddenOne) {
  ExpressionRules rules = Published();
  rules.widths = {{384, 1536}, {384, 192}};
  rules.max_height = 8;
  const ExpressionSampler sampler(rules);
  Random random(4);
  for (int i = 0; i < 2000; ++i) ExpectWithin(sampler.Draw(&random), rules);
}

TEST(ExpressionSamplingTest, KeepsToTheOperatorsAndHeightsGiven) {
  ExpressionRules rules{.unary = {Operator::kRelu},
                        .binary = {Operator::kMul},
                        .min_height = 12,
                        .max_height = 12,
                        .widths = {{540, 270}}};
  const ExpressionSampler tall(rules);
  Random random(5);
  for (int i = 0; i < 200; ++i) ExpectWithin(tall.Draw(&random), rules);
  const ExpressionSampler none({.binary = {}, .widths = {{540, 270}}});
  EXPECT_TRUE(none.empty());
}

TEST(ExpressionSamplingTest, MutationsAreValidAndNew) {
  const ExpressionSampler sampler(Published());
  Random random(6);
  Expression at = Expression::Parse("linear(gelu(linear(x,wb1)),wb2)");
  std::set<int> heights;
  for (int i = 0; i < 3000; ++i) {
    const auto next = sampler.Mutate(at, &random);
    ASSERT_TRUE(next.has_value()) << at.ToString();
    ExpectWithin(*next, Published());
    EXPECT_NE(next->Canonical(), at.Canonical());
    at = *next;
    heights.insert(at.Height());
  }
  EXPECT_EQ(heights,
            (std::set<int>{3, 4, 5, 6, 7}));  // a walk neither sticks to the low ones nor to the high ones
}

TEST(ExpressionSamplingTest, OneMutationReachesTheThreeKindsOfChange) {
  const ExpressionSampler sampler(Published());
  const auto from = Expression::Parse("linear(gelu(linear(x,wb1)),wb2)");
  Random random(7);
  std::set<std::string> seen;
  for (int i = 0; i < 5000; ++i) seen.insert(sampler.Mutate(from, &random)->ToString());
  EXPECT_EQ(seen.count("linear(tanh(linear(x,wb1)),wb2)"), 1u);  // an operator replaced
  EXPECT_EQ(seen.count("tanh(linear(gelu(linear(x,wb1)),wb2))"),
            1u);  // inserted at the root, as published layer 1
  EXPECT_EQ(seen.count("linear(gelu(linear(max(x,tanh(x)),wb1)),wb2)"),
            1u);  // a subtree replaced, published layer 4
  EXPECT_EQ(seen.count("linear(gelu(mul(linear(x,wb1),x)),wb2)"), 1u);  // inserted inside
}

TEST(ExpressionSamplingTest, NoMutationWhereThereIsOneExpressionOnly) {
  const ExpressionSampler sampler(
      {.unary = {Operator::kGelu}, .binary = {}, .max_height = 3, .widths = {{540, 270}}});
  Random random(8);
  EXPECT_FALSE(sampler.Mutate(sampler.Draw(&random), &random).has_value());
}

TEST(ExpressionSamplingTest, CrossingJoinsBothParents) {
  const ExpressionSampler sampler(Published());
  const auto a = Expression::Parse("tanh(linear(gelu(linear(x,wb1)),wb2))");
  const auto b = Expression::Parse("linear(relu(mul(linear(x,wb1),x)),wb2)");
  Random random(9);
  std::set<std::string> seen;
  for (int i = 0; i < 2000; ++i) {
    const auto child = sampler.Cross(a, b, &random);
    ASSERT_TRUE(child.has_value());
    ExpectWithin(*child, Published());
    seen.insert(child->ToString());
  }
  EXPECT_EQ(seen.count("tanh(linear(relu(mul(linear(x,wb1),x)),wb2))"), 1u);
  EXPECT_EQ(seen.count("linear(gelu(linear(x,wb1)),wb2)"),
            0u);  // nothing of b in it would have to be cut from a alone
  EXPECT_GE(seen.size(), 3u);
}

TEST(ExpressionSamplingTest, SameStreamSameExpressions) {
  const ExpressionSampler sampler(Published());
  Random one(10), two(10);
  for (int i = 0; i < 100; ++i) {
    const Expression drawn = sampler.Draw(&one);
    EXPECT_EQ(drawn.ToString(), sampler.Draw(&two).ToString());
    EXPECT_EQ(sampler.Mutate(drawn, &one)->ToString(), sampler.Mutate(drawn, &two)->ToString());
  }
}

}  // namespace
}  // namespace thimble::models
