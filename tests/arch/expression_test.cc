#include "models/arch/expression.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "proto/options.pb.h"
#include "proto/space.pb.h"

namespace thimble::models {
namespace {

using ::testing::HasSubstr;

// The published final expressions, SYSTEMS A6, without their stack and ratio tags; heights counted by hand.
struct Published {
  const char* text;
  int height;
};
const std::vector<Published> kPublished = {
    {"tanh(linear(gelu(linear(x,wb1)),wb2))", 4},    {"elu(linear(gelu(linear(x,wb1)),wb2))", 4},
    {"sigmoid(linear(relu(linear(x,wb1)),wb2))", 4}, {"linear(gelu(linear(max(x,tanh(x)),wb1)),wb2)", 5},
    {"linear(relu(mul(linear(x,wb1),x)),wb2)", 4},   {"leaky_relu(linear(gelu(linear(x,wb1)),wb2))", 4},
    {"linear(gelu_erf(linear(x,wb1)),wb2)", 3},
};

std::string Refusal(const std::string& text) {
  try {
    Expression::Parse(text, "layer[3]");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadRequest);
    return error.what();
  }
  return "accepted";
}

std::string Canonical(const std::string& text) { return Expression::Parse(text).Canonical(); }

TEST(ExpressionTest, ReadsAndPrintsThePublishedOnes) {
  for (const auto& [text, height] : kPublished) {
    const Expression expression = Expression::Parse(text);
    EXPECT_EQ(expression.ToString(), text);
    EXPECT_EQ(expression.Height(), height) << text;
    for (const int inner : {540, 270, 180, 135}) EXPECT_EQ(expression.WhyWidthsFail(540, inner), "") << text;
  }
}

TEST(ExpressionTest, IgnoresSpacesAndKeepsPostOrder) {
  const Expression expression = Expression::Parse("  linear( relu (mul(linear(x , wb1), x)) ,\n wb2 ) ");
  EXPECT_EQ(expression.ToString(), "linear(relu(mul(linear(x,wb1),x)),wb2)");
  const std::vector<Operator> order = {Operator::kInput, Operator::kLinear1, Operator::kInput,
                                       Operator::kMul,   Operator::kRelu,    Operator::kLinear2};
  ASSERT_EQ(expression.nodes().size(), order.size());
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(expression.nodes()[i].op, order[i]) << i;
  EXPECT_EQ(expression.nodes()[3].left, 1);
  EXPECT_EQ(expression.nodes()[3].right, 2);
}

TEST(ExpressionTest, NamesTheColumnOfASyntaxError) {
  EXPECT_THAT(Refusal("linear(gelo(linear(x,wb1)),wb2)"),
              HasSubstr("layer[3]: column 8: no operator \"gelo\""));
  EXPECT_THAT(Refusal("linear(gelo(linear(x,wb1)),wb2)"), HasSubstr("gelu, gelu_erf"));
  EXPECT_THAT(Refusal("linear(gelu(linear(x,wb3)),wb2)"), HasSubstr("column 22: the second argument"));
  EXPECT_THAT(Refusal("linear(gelu(linear(x,wb1)),wb2"), HasSubstr("column 31: the expression ends early"));
  EXPECT_THAT(Refusal("linear(gelu(linear(x,wb1)),wb2))"), HasSubstr("column 32: text after the end"));
  EXPECT_THAT(Refusal("linear(gelu(linear(x,wb1),x),wb2)"), HasSubstr("column 26: unexpected ','"));
  EXPECT_THAT(Refusal("linear(add(linear(x,wb1)),wb2)"), HasSubstr("column 25: unexpected ')'"));
  EXPECT_THAT(Refusal("linear4_2(gelu(linear4_2(x,wb1)),wb2)"), HasSubstr("no operator \"linear4_2\""));
  EXPECT_THAT(Refusal("gelu(wb1)"), HasSubstr("no operator \"wb1\""));
  EXPECT_THAT(Refusal(""), HasSubstr("column 1: an operator or x is missing"));
}

TEST(ExpressionTest, SurvivesHostileText) {
  EXPECT_THAT(Refusal(std::string(1 << 20, '(')), HasSubstr("too long"));
  std::string nested;
  for (int i = 0; i < 10000; ++i) nested += "relu(";
  EXPECT_THAT(Refusal(nested), HasSubstr("nested too deeply"));
}

TEST(ExpressionTest, RefusesEachBrokenRule) {
  EXPECT_THAT(Refusal("x"), HasSubstr("height is 0"));
  EXPECT_THAT(Refusal("linear(linear(x,wb1),wb2)"), HasSubstr("height is 2"));
  EXPECT_THAT(Refusal("gelu(linear(add(x,tanh(x)),wb2))"), HasSubstr("wb1 stands 0 times"));
  EXPECT_THAT(Refusal("linear(gelu(add(linear(x,wb1),linear(tanh(x),wb1))),wb2)"),
              HasSubstr("wb1 stands 2 times"));
  EXPECT_THAT(Refusal("linear(gelu(linear(x,wb2)),wb1)"), HasSubstr("wb2 stands before wb1"));
  EXPECT_THAT(Refusal("linear(gelu(relu(linear(x,wb1))),wb2)"), HasSubstr("relu directly inside gelu"));
  EXPECT_THAT(Refusal("tanh(linear(linear(x,wb1),wb2))"), HasSubstr("linear directly inside linear"));
  EXPECT_THAT(Refusal("linear(gelu(linear(max(x,x),wb1)),wb2)"),
              HasSubstr("max of two identical arguments, x"));
  EXPECT_THAT(Refusal("add(linear(gelu(linear(x,wb1)),wb2),mul(tanh(x),tanh(x)))"),
              HasSubstr("mul of two identical"));
}

TEST(ExpressionTest, HeightBoundsAreThePublishedOnesUnlessAsked) {
  std::string text = "linear(gelu(linear(x,wb1)),wb2)";
  for (int i = 0; i < 5; ++i) text = "add(" + text + ",x)";
  const Expression tall = Expression::Parse(text);
  EXPECT_EQ(tall.Height(), 8);
  EXPECT_EQ(tall.WhyInvalid(), "the height is 8 edges, not 3 to 7");
  EXPECT_EQ(tall.WhyInvalid(3, 8), "");
  for (int i = 0; i < 5; ++i) text = "add(" + text + ",x)";
  EXPECT_THAT(Refusal(text), HasSubstr("height is 13 edges, not 3 to 12"));
}

TEST(ExpressionTest, TallestAgreesWithTheSchema) {
  const auto* field = proto::ExpressionSpace::descriptor()->FindFieldByName("max_height");
  EXPECT_EQ(field->options().GetExtension(proto::range).max(), kTallestExpression);
}

TEST(ExpressionTest, OrderRuleFollowsTheTextNotTheNodes) {
  // The same tree with the right operand stored first: add(linear(x,wb1), gelu(linear(x,wb2))).
  const Expression expression = Expression::FromNodes({{Operator::kInput},
                                                       {Operator::kLinear2, 0},
                                                       {Operator::kGelu, 1},
                                                       {Operator::kInput},
                                                       {Operator::kLinear1, 3},
                                                       {Operator::kAdd, 4, 2}});
  EXPECT_EQ(expression.ToString(), "add(linear(x,wb1),gelu(linear(x,wb2)))");
  EXPECT_EQ(expression.WhyInvalid(), "");
}

TEST(ExpressionTest, NodesThatAreNoTreeAreInvalid) {
  EXPECT_THAT(Expression().WhyInvalid(), HasSubstr("no tree"));
  EXPECT_THAT(Expression::FromNodes({{Operator::kGelu, 0}}).WhyInvalid(), HasSubstr("no tree"));
  EXPECT_THAT(Expression::FromNodes({{Operator::kInput}, {Operator::kInput}}).WhyInvalid(),
              HasSubstr("no tree"));
  EXPECT_THAT(Expression::FromNodes({{Operator::kInput}, {Operator::kAdd, 0, 0}}).WhyInvalid(),
              HasSubstr("no tree"));
}

TEST(ExpressionTest, WidthsFailWithBothNumbers) {
  // Fine at ratio 1 only: the sum is cut to the inner width.
  const Expression cut = Expression::Parse("add(linear(gelu(linear(x,wb1)),wb2),x)");
  EXPECT_EQ(cut.WhyWidthsFail(540, 270), "");
  const Expression parallel = Expression::Parse("gelu(add(linear(x,wb1),gelu(linear(x,wb2))))");
  EXPECT_EQ(parallel.WhyWidthsFail(540, 540), "");
  EXPECT_EQ(parallel.WhyWidthsFail(540, 270), "the linear with wb2 takes 270 channels but gets 540");
  const Expression gate = Expression::Parse("linear(relu(mul(linear(x,wb1),x)),wb2)");
  EXPECT_EQ(gate.WhyWidthsFail(384, 1536), "the linear with wb2 takes 1536 channels but gets 384");
  const Expression unordered =
      Expression::FromNodes({{Operator::kInput}, {Operator::kLinear1, 0}, {Operator::kGelu, 1}});
  EXPECT_EQ(unordered.WhyWidthsFail(540, 270), "the output has 270 channels but the residual needs 540");
}

TEST(ExpressionTest, CanonicalFormIsOneForAlgebraicallyEqualOnes) {
  EXPECT_EQ(Canonical("linear(relu(mul(linear(x,wb1),x)),wb2)"),
            Canonical("linear(relu(mul(x,linear(x,wb1))),wb2)"));
  EXPECT_EQ(Canonical("linear(add(x,add(linear(x,wb1),tanh(x))),wb2)"),
            Canonical("linear(add(add(tanh(x),x),linear(x,wb1)),wb2)"));
  EXPECT_EQ(Canonical("linear(gelu(linear(max(x,max(tanh(x),x)),wb1)),wb2)"),
            Canonical("linear(gelu(linear(max(tanh(x),x),wb1)),wb2)"));
  EXPECT_EQ(Canonical("linear(gelu(linear(max(add(x,tanh(x)),add(tanh(x),x)),wb1)),wb2)"),
            Canonical("linear(gelu(linear(add(x,tanh(x)),wb1)),wb2)"));
  EXPECT_EQ(Canonical("linear(gelu(linear(relu(add(sigmoid(x),relu(x))),wb1)),wb2)"),
            Canonical("linear(gelu(linear(add(sigmoid(x),relu(x)),wb1)),wb2)"));
  EXPECT_EQ(Canonical("linear(gelu(linear(elu(max(x,relu(x))),wb1)),wb2)"),
            Canonical("linear(gelu(linear(max(x,relu(x)),wb1)),wb2)"));
}

TEST(ExpressionTest, CanonicalFormKeepsDifferentOnesApart) {
  std::vector<std::string> forms;
  for (const auto& published : kPublished) forms.push_back(Canonical(published.text));
  // relu of a sum with one operand that may be negative; two equal summands; gelu of something positive.
  forms.push_back(Canonical("linear(gelu(linear(relu(add(x,relu(x))),wb1)),wb2)"));
  forms.push_back(Canonical("linear(gelu(linear(add(x,relu(x)),wb1)),wb2)"));
  forms.push_back(Canonical("linear(gelu(linear(add(x,add(x,relu(x))),wb1)),wb2)"));
  forms.push_back(Canonical("linear(gelu(linear(gelu(add(relu(x),sigmoid(x))),wb1)),wb2)"));
  forms.push_back(Canonical("linear(gelu(linear(add(relu(x),sigmoid(x)),wb1)),wb2)"));
  std::sort(forms.begin(), forms.end());
  EXPECT_EQ(std::unique(forms.begin(), forms.end()), forms.end());
}

}  // namespace
}  // namespace thimble::models
