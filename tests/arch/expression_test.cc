#include "models/arch/expression.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "proto/options.pb.h"
#include "proto/space.pb.h"

namespace thimble::models {
namespace {

using ::testing::HasSubstr;

// The published final expressions (EfficientBERT, its tables), without their stack and ratio tags; heights
// counted by hand.
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

// Of a function of x, and of x and the output of wb1.
std::string OfInput(const std::string& f) { return Canonical("linear(gelu(linear(" + f + ",wb1)),wb2)"); }
std::string OfInner(std::string f) {
  for (size_t at = 0; (at = f.find('u', at)) != std::string::npos;) {
    const bool name = (at > 0 && std::isalpha(f[at - 1])) || std::isalpha(f[at + 1]);
    if (!name) f.replace(at, 1, "linear(tanh(x),wb1)");
    ++at;
  }
  return Canonical("tanh(linear(" + f + ",wb2))");
}

using Pairs = std::vector<std::pair<const char*, const char*>>;

const Pairs kEqualOfInput = {
    // Operands in any order, repeated ones of a maximum, common factors.
    {"add(x,add(relu(x),tanh(x)))", "add(add(tanh(x),x),relu(x))"},
    {"max(x,max(tanh(x),x))", "max(tanh(x),x)"},
    {"max(add(x,tanh(x)),add(tanh(x),x))", "add(x,tanh(x))"},
    {"mul(x,add(relu(x),tanh(x)))", "add(mul(x,tanh(x)),mul(x,relu(x)))"},
    // Rectifiers by sign.
    {"relu(add(sigmoid(x),relu(x)))", "add(sigmoid(x),relu(x))"},
    {"elu(max(x,relu(x)))", "relu(x)"},
    {"max(x,relu(x))", "relu(x)"},
    {"max(x,leaky_relu(x))", "leaky_relu(x)"},
    {"max(x,elu(x))", "elu(x)"},
    {"max(tanh(x),elu(x))", "elu(x)"},
    {"max(gelu(x),relu(x))", "relu(x)"},
    {"max(swish(x),gelu(x))", "gelu(x)"},
    {"max(elu(x),gelu(x))", "max(x,gelu(x))"},
    {"relu(max(tanh(x),x))", "relu(x)"},
    {"mul(x,relu(x))", "mul(elu(x),relu(x))"},
    {"mul(relu(x),leaky_relu(x))", "mul(relu(x),max(tanh(x),x))"},
    {"leaky_relu(mul(x,leaky_relu(x)))", "mul(x,leaky_relu(x))"},
    {"leaky_relu(add(x,elu(x)))", "max(x,leaky_relu(add(x,elu(x))))"},
    {"relu(add(x,mul(x,tanh(x))))", "add(mul(relu(x),tanh(x)),relu(x))"},
    // Gates.
    {"swish(x)", "mul(x,sigmoid(x))"},
    {"swish(max(relu(x),sigmoid(x)))", "mul(relu(max(x,sigmoid(x))),sigmoid(max(relu(x),sigmoid(x))))"},
    {"max(x,swish(add(x,relu(x))))", "swish(add(x,relu(x)))"},
    {"relu(add(sigmoid(x),gelu(x)))", "add(sigmoid(x),gelu(x))"},
    {"max(relu(x),tanh(mul(x,relu(x))))", "relu(x)"},
    // Of a sum of either sign.
    {"max(relu(add(x,mul(x,leaky_relu(x)))),swish(add(x,mul(x,leaky_relu(x)))))",
     "relu(add(x,mul(x,leaky_relu(x))))"},
    {"max(elu(add(x,mul(x,leaky_relu(x)))),tanh(add(x,mul(x,leaky_relu(x)))))",
     "elu(add(x,mul(x,leaky_relu(x))))"},
};
const Pairs kEqualOfInner = {
    {"max(relu(u),x)", "relu(max(u,x))"},
    {"tanh(max(u,x))", "max(tanh(u),tanh(x))"},
    {"max(sigmoid(u),sigmoid(x))", "sigmoid(max(x,u))"},
    {"leaky_relu(max(u,x))", "max(leaky_relu(x),leaky_relu(u))"},
    {"add(max(u,x),tanh(x))", "max(add(u,tanh(x)),add(x,tanh(x)))"},
    {"mul(max(u,x),sigmoid(x))", "max(mul(u,sigmoid(x)),swish(x))"},
    {"max(elu(add(u,x)),relu(x))", "max(add(u,x),relu(x))"},
    {"gelu(max(relu(u),sigmoid(x)))", "gelu(max(u,sigmoid(x)))"},
    {"swish(max(relu(x),u))", "relu(max(swish(x),swish(u)))"},
    {"add(x,relu(add(x,u)))", "max(x,add(x,leaky_relu(add(u,x))))"},
    {"tanh(add(x,relu(u)))", "max(tanh(x),tanh(add(u,x)))"},
    {"mul(x,add(max(u,x),sigmoid(x)))", "add(swish(x),mul(max(x,u),x))"},
};

TEST(ExpressionTest, CanonicalFormIsOneForAlgebraicallyEqualOnes) {
  for (const auto& [a, b] : kEqualOfInput) EXPECT_EQ(OfInput(a), OfInput(b)) << a << " and " << b;
  for (const auto& [a, b] : kEqualOfInner) EXPECT_EQ(OfInner(a), OfInner(b)) << a << " and " << b;
  // Without influence: wb1 where its output is a factor between 0 and 1 of what is never the larger one.
  EXPECT_EQ(Canonical("linear(max(relu(x),mul(x,sigmoid(linear(x,wb1)))),wb2)"),
            Canonical("linear(max(relu(x),mul(x,sigmoid(linear(tanh(x),wb1)))),wb2)"));
}

TEST(ExpressionTest, CanonicalFormKeepsDifferentOnesApart) {
  std::vector<std::string> forms;
  for (const auto& published : kPublished) forms.push_back(Canonical(published.text));
  for (const char* f :
       {"tanh(x)", "relu(x)", "elu(x)", "leaky_relu(x)", "swish(x)", "sigmoid(x)", "gelu(x)", "gelu_erf(x)",
        "add(x,relu(x))", "relu(add(x,relu(x)))", "add(x,add(x,relu(x)))", "gelu(add(relu(x),sigmoid(x)))",
        "add(relu(x),sigmoid(x))", "mul(x,relu(x))", "mul(x,mul(x,relu(x)))", "mul(tanh(x),relu(x))",
        // Crossing curves: which is larger changes at -100, -4.6, -2.3, and above 0.
        "max(elu(x),leaky_relu(x))", "max(swish(x),leaky_relu(x))", "max(gelu(x),leaky_relu(x))",
        "max(tanh(x),gelu(x))", "max(tanh(x),sigmoid(x))", "max(x,gelu(x))", "max(x,swish(x))",
        "max(gelu(x),gelu_erf(x))", "max(x,mul(x,relu(x)))"})
    forms.push_back(OfInput(f));
  // gelu is not monotone below 0; a maximum is not multiplied out by what may be negative; elu is not linear.
  for (const char* f :
       {"gelu(max(u,x))", "max(gelu(u),gelu(x))", "mul(x,max(u,tanh(x)))", "max(mul(x,u),mul(x,tanh(x)))",
        "elu(add(u,x))", "add(elu(u),elu(x))", "add(u,x)", "relu(add(u,x))", "add(relu(u),relu(x))",
        "max(u,x)", "max(relu(u),x)", "mul(relu(u),relu(x))", "relu(mul(u,x))"})
    forms.push_back(OfInner(f));
  std::sort(forms.begin(), forms.end());
  for (size_t i = 1; i < forms.size(); ++i) EXPECT_NE(forms[i - 1], forms[i]);
}

TEST(ExpressionTest, CanonicalFormOfTallOnesStaysSmall) {
  // Multiplied out it has thousands of products, and its text would name every gate's argument in each.
  std::string text = "x", swapped = "x";
  for (const std::string f : {"tanh(x)", "relu(x)"}) {
    text = "mul(add(" + text + "," + f + "),swish(add(" + text + ",sigmoid(x))))";
    swapped = "mul(swish(add(sigmoid(x)," + swapped + ")),add(" + f + "," + swapped + "))";
  }
  const std::string form = OfInput("mul(add(" + text + ",x),add(" + text + ",gelu(x)))");
  EXPECT_EQ(form, OfInput("mul(add(gelu(x)," + swapped + "),add(x," + swapped + "))"));
  EXPECT_LT(form.size(), 20000u);
}

}  // namespace
}  // namespace thimble::models
