// Canonical forms against what expressions compute: 100,000 draws of the published space, evaluated in double
// precision on random inputs and weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/random.h"
#include "models/arch/expression.h"
#include "models/arch/expression_sampling.h"

namespace thimble::models {
namespace {

constexpr int kDraws = 100000, kHidden = 8, kTokens = 6;
constexpr int kInners[] = {8, 4};

using Channels = std::vector<double>;

double Activate(Operator op, double x) {
  switch (op) {
    case Operator::kGelu:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Operator::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Operator::kTanh:
      return std::tanh(x);
    case Operator::kRelu:
      return std::max(x, 0.0);
    case Operator::kLeakyRelu:
      return x > 0 ? x : 0.01 * x;
    case Operator::kElu:
      return x > 0 ? x : std::expm1(x);
    case Operator::kSwish:
      return x / (1 + std::exp(-x));
    default:
      ADD_FAILURE() << "not an activation";
      return 0;
  }
}

double Combine(Operator op, double a, double b) {
  return op == Operator::kAdd ? a + b : op == Operator::kMul ? a * b : std::max(a, b);
}

struct Linear {
  Linear(int outputs, int inputs, Random* random) : outputs(outputs), inputs(inputs) {
    for (int i = 0; i < outputs * (inputs + 1); ++i) weights.push_back(random->Normal() / std::sqrt(inputs));
  }
  Channels operator()(const Channels& x) const {
    Channels y;
    for (int o = 0; o < outputs; ++o) {
      double sum = weights[outputs * inputs + o];
      for (int i = 0; i < inputs; ++i) sum += weights[o * inputs + i] * x[i];
      y.push_back(sum);
    }
    return y;
  }
  int outputs, inputs;
  std::vector<double> weights;
};

// Its output for fixed inputs and weights, at both inner widths.
Channels Outputs(const Expression& expression) {
  Random random(7);
  Channels all;
  for (const int inner : kInners) {
    const Linear first(inner, kHidden, &random), second(kHidden, inner, &random);
    for (int token = 0; token < kTokens; ++token) {
      Channels x;
      for (int c = 0; c < kHidden; ++c) x.push_back(2 * random.Normal());
      std::vector<Channels> values;
      for (const Node& node : expression.nodes()) {
        if (node.op == Operator::kInput) {
          values.push_back(x);
        } else if (node.op == Operator::kLinear1) {
          values.push_back(first(values[node.left]));
        } else if (node.op == Operator::kLinear2) {
          values.push_back(second(values[node.left]));
        } else {
          Channels value = values[node.left];
          if (IsBinary(node.op)) {
            const Channels& other = values[node.right];
            value.resize(std::min(value.size(), other.size()));
            for (size_t c = 0; c < value.size(); ++c) value[c] = Combine(node.op, value[c], other[c]);
          } else {
            for (double& number : value) number = Activate(node.op, number);
          }
          values.push_back(std::move(value));
        }
      }
      all.insert(all.end(), values.back().begin(), values.back().end());
    }
  }
  return all;
}

// The largest difference as a share of the largest number.
double Distance(const Channels& a, const Channels& b) {
  double difference = 0, largest = 1e-300;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = std::max(difference, std::abs(a[i] - b[i]));
    largest = std::max({largest, std::abs(a[i]), std::abs(b[i])});
  }
  return difference / largest;
}

constexpr double kEqual = 1e-10;

// How many of the groups compute what another one does. Equal functions have equal sums up to rounding, so
// that neighbours in that order are compared.
int Redundant(const std::map<std::string, Channels>& groups) {
  std::vector<std::pair<double, const Channels*>> order;
  for (const auto& [form, outputs] : groups) {
    double sum = 0, largest = 1e-300;
    for (const double number : outputs) {
      sum += number;
      largest = std::max(largest, std::abs(number));
    }
    order.emplace_back(sum / largest, &outputs);
  }
  std::sort(order.begin(), order.end());
  int redundant = 0;
  for (size_t i = 0; i < order.size(); ++i)
    for (size_t j = i + 1; j < order.size() && order[j].first - order[i].first < 1e-9; ++j)
      if (Distance(*order[i].second, *order[j].second) < kEqual) {
        ++redundant;
        break;
      }
  return redundant;
}

TEST(CanonicalTest, MembersOfAGroupComputeTheSame) {
  const ExpressionSampler sampler(PublishedRules({{kHidden, kInners[0]}, {kHidden, kInners[1]}}));
  Random random(1);
  std::map<std::string, Channels> groups;  // by canonical form: outputs of the first member
  std::set<std::string> texts;
  for (int i = 0; i < kDraws; ++i) {
    const Expression expression = sampler.Draw(&random);
    if (!texts.insert(expression.ToString()).second) continue;
    const Channels outputs = Outputs(expression);
    const auto [group, added] = groups.emplace(expression.Canonical(), outputs);
    if (!added)
      EXPECT_LT(Distance(group->second, outputs), kEqual)
          << expression.ToString() << " does not compute what its group does, " << group->first;
  }
  EXPECT_LT(groups.size(), 0.95 * static_cast<double>(texts.size()));
  // The other direction is not complete: max(relu(x),x) is relu(x), and no rule says so.
  const int redundant = Redundant(groups);
  std::printf("%d draws, %zu different texts, %zu groups, %d of them compute what another does\n", kDraws,
              texts.size(), groups.size(), redundant);
  EXPECT_LT(redundant, 0.08 * static_cast<double>(groups.size()));
}

}  // namespace
}  // namespace thimble::models
