// What must hold of every operator of expressions. A new one is tested by its line in the list, here and in
// tests/models/gradient_test.cc (gradients), tests/onnx (ONNX Runtime) and python_check.py (transformers).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"
#include "base/random.h"
#include "models/arch/channel_algebra.h"
#include "models/arch/expression_sampling.h"
#include "models/model.h"
#include "models/torch/torch_ops.h"
#include "proto/space.pb.h"

namespace thimble::models {
namespace {

class EveryOperatorTest : public testing::TestWithParam<Operator> {};
INSTANTIATE_TEST_SUITE_P(All, EveryOperatorTest, testing::ValuesIn(Catalogue()),
                         [](const auto& info) { return std::string(OperatorName(info.param)); });

double Compute(Operator op, double a, double b) {
  return IsUnary(op) ? UnaryOf(op).value(a) : BinaryOf(op).value(a, b);
}

std::vector<double> Operands(uint64_t seed) {
  Random random(seed);
  std::vector<double> operands = {0};
  for (const double scale : {0.1, 1.0, 4.0})
    for (int i = 0; i < 50; ++i) operands.push_back(scale * random.Normal());
  return operands;
}

std::vector<double> Values(Operator op, const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> values;
  for (size_t i = 0; i < a.size(); ++i) values.push_back(Compute(op, a[i], b[i]));
  return values;
}

TEST_P(EveryOperatorTest, ComputesItsValue) {
  const Operator op = GetParam();
  const std::vector<double> a = Operands(1), b = Operands(2), wanted = Values(op, a, b);
  const Model model;
  const Batch batch;
  const ForwardOptions options;
  TorchOps ops(model, batch, options);
  const Value x = TorchOps::Of(at::tensor(a, at::kFloat)), y = TorchOps::Of(at::tensor(b, at::kFloat));
  const at::Tensor got =
      TorchOps::In(IsUnary(op) ? UnaryOf(op).form("f", x, ops) : BinaryOf(op).form("f", x, y, ops));
  ASSERT_EQ(got.numel(), static_cast<int64_t>(a.size()));
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(got[i].item<float>(), wanted[i], 1e-5 * (1 + std::abs(wanted[i]))) << a[i] << " " << b[i];
}

TEST(OperatorsTest, WriteValuesForPython) {
  nlohmann::json all;
  for (const Operator op : Catalogue()) {
    const std::vector<double> a = Operands(1), b = Operands(2);
    std::vector<std::vector<double>> operands = {a};
    if (IsBinary(op)) operands.push_back(b);
    ASSERT_FALSE(OperatorPython(op).empty()) << OperatorName(op);
    all.push_back({{"name", OperatorName(op)},
                   {"python", OperatorPython(op)},
                   {"operands", operands},
                   {"values", Values(op, a, b)}});
  }
  WriteFileAtomically(THIMBLE_OPERATOR_VALUES, all.dump());
}

// What a search may propose is named in the schema; what it may not, here.
TEST(OperatorsTest, AreThoseOfTheSchema) {
  const std::set<std::string> not_proposed = {"gelu_erf"};  // BERT's, which gelu is as good as
  std::set<std::string> unary, binary;
  for (const Operator op : Catalogue()) {
    const std::string name(OperatorName(op));
    EXPECT_EQ(OperatorNamed(name), op);
    if (not_proposed.count(name) == 0)
      EXPECT_TRUE((IsUnary(op) ? unary : binary).insert(name).second) << name;
  }
  const auto names = [](const google::protobuf::EnumDescriptor& descriptor) {
    std::set<std::string> found;
    for (int i = 0; i < descriptor.value_count(); ++i) found.insert(descriptor.value(i)->name());
    return found;
  };
  EXPECT_EQ(names(*proto::ExpressionSpace::Unary_descriptor()), unary);
  EXPECT_EQ(names(*proto::ExpressionSpace::Binary_descriptor()), binary);
  EXPECT_FALSE(OperatorNamed("linear").has_value());
}

ExpressionSampler WholeSampler() {
  ExpressionRules rules{.max_height = 6, .widths = {{4, 4}}};
  for (const Operator op : Catalogue()) (IsUnary(op) ? rules.unary : rules.binary).push_back(op);
  return ExpressionSampler(rules);
}

bool Near(double a, double b) {
  return a == b || std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b));
}

using Channels = std::array<double, 4>;

// Of fixed inputs, near and far, and of fixed linears, which mix the channels.
std::vector<double> Outputs(const Expression& expression) {
  Random random(3);
  std::array<std::array<double, 20>, 2> weights;  // [4, 4] and [4]
  for (auto& linear : weights)
    for (double& weight : linear) weight = 0.7 * random.Normal();
  std::vector<double> all;
  for (const double scale : {0.3, 1.0, 3.0, 30.0, 300.0}) {
    Channels x;
    for (double& number : x) number = scale * random.Normal();
    std::vector<Channels> values;
    for (const Node& node : expression.nodes()) {
      Channels value = x;
      for (size_t c = 0; c < x.size() && node.left >= 0; ++c) {
        const Channels& left = values[node.left];
        if (IsLinear(node.op)) {
          const auto& linear = weights[node.op == Operator::kLinear2];
          value[c] = linear[16 + c];
          for (size_t i = 0; i < left.size(); ++i) value[c] += linear[4 * c + i] * left[i];
        } else {
          value[c] = Compute(node.op, left[c], node.right < 0 ? 0 : values[node.right][c]);
        }
      }
      values.push_back(value);
    }
    all.insert(all.end(), values.back().begin(), values.back().end());
  }
  return all;
}

TEST(OperatorsTest, EqualFormsComputeTheSame) {
  const ExpressionSampler sampler = WholeSampler();
  Random random(1);
  std::map<std::string, Expression> forms;
  std::set<std::string> texts;
  std::map<Operator, int> seen;  // in expressions that share a form
  for (int i = 0; i < 30000; ++i) {
    const Expression expression = sampler.Draw(&random);
    if (!texts.insert(expression.ToString()).second) continue;
    const auto [found, added] = forms.emplace(expression.Canonical(), expression);
    if (added) continue;
    for (const Node& node : expression.nodes()) ++seen[node.op];
    const std::vector<double> one = Outputs(found->second), other = Outputs(expression);
    for (size_t c = 0; c < one.size(); ++c)
      ASSERT_TRUE(Near(one[c], other[c]) || std::abs(one[c] - other[c]) < 1e-9)
          << expression.ToString() << " does not compute what " << found->second.ToString()
          << " does; both are " << found->first;
  }
  for (const Operator op : Catalogue()) EXPECT_GT(seen[op], 20) << OperatorName(op);
}

// The part of a tree above the linears and x, for numbers in their place.
class Segment {
 public:
  Segment(const std::vector<Node>& nodes, Operator opaque) : nodes_(nodes), opaque_(opaque) {}

  ChannelAlgebra::Value Algebra(ChannelAlgebra* algebra, int at) const {
    const Node& node = nodes_[at];
    if (node.left < 0 || IsLinear(node.op)) return algebra->Leaf(node.op);
    const auto left = Algebra(algebra, node.left);
    if (node.right < 0)
      return node.op == opaque_ ? algebra->Opaque(node.op, left) : algebra->Of(node.op, left);
    const auto right = Algebra(algebra, node.right);
    return node.op == opaque_ ? algebra->Opaque(node.op, left, right) : algebra->Of(node.op, left, right);
  }

  double Number(const std::array<double, 3>& leaves, int at) const {
    const Node& node = nodes_[at];
    if (node.left < 0 || IsLinear(node.op)) return leaves[static_cast<size_t>(node.op)];
    return Compute(node.op, Number(leaves, node.left), node.right < 0 ? 0 : Number(leaves, node.right));
  }

 private:
  const std::vector<Node>& nodes_;
  const Operator opaque_;
};

// An operator of which the algebra is told nothing, beside all that it knows of the others.
TEST_P(EveryOperatorTest, IsSoundAsAnOpaqueOne) {
  const ExpressionSampler sampler = WholeSampler();
  Random random(1);
  int shared = 0;
  ChannelAlgebra algebra;
  std::map<std::pair<int, int>, Expression> functions;  // by signs and number
  for (int i = 0; i < 2000; ++i) {
    const Expression expression = sampler.Draw(&random);
    const int root = static_cast<int>(expression.nodes().size()) - 1;
    const Segment segment(expression.nodes(), GetParam());
    for (int signs = 0; signs < 8; ++signs) {
      const std::array<int, 3> sign = {signs & 4 ? 1 : -1, signs & 2 ? 1 : -1, signs & 1 ? 1 : -1};
      algebra.SetSigns(sign);
      const auto [found, added] =
          functions.emplace(std::pair(signs, segment.Algebra(&algebra, root)), expression);
      if (added || found->second.ToString() == expression.ToString()) continue;
      for (const double scale : {0.1, 1.0, 5.0, 200.0}) {
        std::array<double, 3> leaves;
        for (size_t leaf = 0; leaf < 3; ++leaf) leaves[leaf] = sign[leaf] * scale * std::abs(random.Normal());
        const double one = segment.Number(leaves, root),
                     other = Segment(found->second.nodes(), GetParam())
                                 .Number(leaves, static_cast<int>(found->second.nodes().size()) - 1);
        ASSERT_TRUE(Near(one, other) || std::abs(one - other) < 1e-9)
            << expression.ToString() << " does not compute what " << found->second.ToString() << " does";
      }
      for (const Node& node : expression.nodes()) shared += node.op == GetParam();
    }
  }
  EXPECT_GT(shared, 50);
}

}  // namespace
}  // namespace thimble::models
