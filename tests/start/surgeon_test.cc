// The surgeon's sizes are exact regressions, useless units go first, and weights of tokens are what they say.
#include "distill/start/surgeon.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "distill/start/linear_fit.h"
#include "distill/start/sample.h"
#include "distill/start/sensitivity.h"
#include "tests/start/fixtures.h"

namespace thimble::distill {
namespace {

at::Tensor Normal(at::IntArrayRef sizes, uint64_t seed) {
  Random random(seed);
  at::Tensor x = at::empty(sizes);
  float* values = x.data_ptr<float>();
  for (int64_t i = 0; i < x.numel(); ++i) values[i] = static_cast<float>(random.Normal());
  return x;
}

// |y|^2 - C^T H^-1 C on some columns alone, everything about its weighted mean.
double ErrorOn(const at::Tensor& a, const at::Tensor& y, const at::Tensor& sliced, const at::Tensor& weights,
               double ridge, const at::Tensor& columns) {
  const at::Tensor w = weights.to(at::kDouble).unsqueeze(1);
  const auto centred = [&](const at::Tensor& x) {
    const at::Tensor wide = x.to(at::kDouble);
    return wide - (wide * w).sum(0) / w.sum();
  };
  const at::Tensor ca = centred(a), cy = centred(y);
  const at::Tensor all = ca.t().matmul(ca * w);
  const double lambda = ridge * all.diagonal().mean().item<double>() + 1e-9;
  const at::Tensor some = ca.index_select(1, columns);
  const at::Tensor gram = some.t().matmul(some * w) + lambda * at::eye(columns.size(0), at::kDouble);
  const at::Tensor product =
      some.t().matmul(cy * w) + lambda * sliced.to(at::kDouble).t().index_select(0, columns);
  return (cy.square() * w).sum().item<double>() -
         (product * at::linalg_solve(gram, product)).sum().item<double>();
}

TEST(SurgeonTest, EverySizeIsTheRegressionOnItsColumns) {
  for (const int64_t columns : {1, 3}) {
    const int64_t units = 8;
    const at::Tensor a = Normal({200, units * columns}, 1), sliced = Normal({5, units * columns}, 3) * 0.1;
    const at::Tensor y = a.matmul(Normal({units * columns, 5}, 2)) + Normal({200, 5}, 4);
    const at::Tensor weights = Normal({200, 1}, 5).squeeze(1).abs() + 0.1;
    for (const int64_t step : {1, 2}) {
      const Elimination found = Eliminate(Centred(a.clone(), weights), y, sliced, 0.01, columns, step);
      ASSERT_EQ(found.error.size(), static_cast<size_t>(units / step + 1));
      for (int64_t k = 1; k <= units / step; ++k) {
        const at::Tensor kept = found.order.slice(0, 0, k * step);
        const at::Tensor on = (kept.unsqueeze(1) * columns + at::arange(columns)).flatten();
        const double expected = ErrorOn(a, y, sliced, weights, 0.01, on);
        EXPECT_NEAR(found.error[k], expected, 1e-3 * std::abs(expected)) << columns << " columns, " << k;
      }
    }
  }
}

TEST(SurgeonTest, UnitsThatSayNothingGoFirst) {
  const at::Tensor a = Normal({300, 6}, 1);
  at::Tensor mixing = Normal({6, 4}, 2);
  for (const int64_t useless : {1, 4}) mixing[useless].zero_();
  const Elimination found = Eliminate(Centred(a.clone()), a.matmul(mixing), at::zeros({4, 6}), 1e-6, 1, 1);
  const std::set<int64_t> last = {found.order[4].item<int64_t>(), found.order[5].item<int64_t>()};
  EXPECT_EQ(last, (std::set<int64_t>{1, 4}));
  EXPECT_LT(found.error[4], 0.05);
  EXPECT_GT(found.error[3], 10);
  for (size_t k = 0; k + 1 < found.error.size(); ++k) EXPECT_GE(found.error[k], found.error[k + 1]);
}

TEST(TokenWeightsTest, WeighedRegressionIsThatOfRepeatedRows) {
  const at::Tensor a = Normal({40, 5}, 1), y = Normal({40, 3}, 2), sliced = Normal({3, 5}, 3);
  const at::Tensor counts = at::arange(40) % 3 + 1;
  const at::Tensor again = at::arange(40).repeat_interleave(counts);
  const LinearWeights start{sliced, at::zeros({3})};
  const LinearWeights weighed = LinearFit(Centred(a.clone(), counts.to(at::kFloat)), 0.1).Solve({}, y, start);
  const LinearWeights repeated =
      LinearFit(Centred(a.index_select(0, again)), 0.1).Solve({}, y.index_select(0, again), start);
  EXPECT_LT((weighed.weight - repeated.weight).abs().max().item<double>(), 1e-5);
  EXPECT_LT((weighed.bias - repeated.bias).abs().max().item<double>(), 1e-5);
}

TEST(TokenWeightsTest, AreOneOnAverageAndKeepTheirShare) {
  const auto weights = TokenWeights({at::tensor({0.0f, 1.0f, 3.0f, 0.0f}), at::zeros({4})}, 0.5);
  EXPECT_TRUE(weights[0].allclose(at::tensor({0.5f, 1.0f, 2.0f, 0.5f})));
  EXPECT_TRUE(weights[1].allclose(at::ones({4})));
}

// The trace of the Fisher information, from divergences: 2 KL(p(x), p(x + e v)) / e^2 summed over directions
// v.
TEST(SensitivityTest, IsTheFisherInformationOfTheAnswer) {
  for (const int classes : {2, 3}) {
    models::Model teacher =
        models::MakeModel(Encoder(2, 16, kBertBlock, "ffn_hidden: 24"), classes, 0, Random(4));
    at::NoGradGuard no_grad;
    uint64_t seed = 10;
    for (const auto& [name, weight] : teacher.weights) {
      const bool norm = name.find("norm") != std::string::npos;
      teacher.weights.at(name) = (norm ? weight : Normal(weight.sizes(), ++seed) * 0.4).to(at::kDouble);
    }
    Split split = SplitRows(RandomBatches(1, 1, 7), 1000);
    split.kept.batches[0].mask = split.kept.batches[0].mask.to(at::kDouble);
    const auto sensitivity = Sensitivity(teacher, split.kept);
    ASSERT_EQ(sensitivity.size(), 5u);
    const at::Tensor answer = at::log_softmax(models::Forward(teacher, split.kept.batches[0]).logits, 1);
    constexpr double kStep = 1e-3;
    for (const int64_t token : {0, 2}) {
      double trace = 0;
      for (int64_t channel = 0; channel < 16; ++channel) {
        models::Model moved = teacher;
        at::Tensor table = teacher.weights.at("embedding.position").clone();
        table[token][channel] += kStep;
        moved.weights.at("embedding.position") = table;
        const at::Tensor other = at::log_softmax(models::Forward(moved, split.kept.batches[0]).logits, 1);
        trace += 2 * (answer.exp() * (answer - other)).sum().item<double>() / (kStep * kStep);
      }
      EXPECT_NEAR(sensitivity[0][token].item<double>(), trace, 0.01 * trace)
          << classes << " classes, token " << token;
    }
  }
}

TEST(SensitivityTest, IsNotKnownWithoutATaskHead) {
  models::Model teacher = RandomTeacher(2, 16, 24, true);
  teacher.classes = 0;
  EXPECT_TRUE(Sensitivity(teacher, SplitRows(RandomBatches(1, 2, 7), 100).kept).empty());
}

}  // namespace
}  // namespace thimble::distill
