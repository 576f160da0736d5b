// Each loss against plain loops in double precision over what is real.
#include <gtest/gtest.h>

#include "tests/distill/cases.h"

namespace thimble::distill {
namespace {

const std::vector<int64_t> kLengths = {7, 4, 1};

void ExpectLoss(const LossSum& got, double sum, double count) {
  EXPECT_EQ(got.count, count);
  EXPECT_EQ(got.sum.scalar_type(), torch::kFloat);
  EXPECT_EQ(got.sum.dim(), 0);
  EXPECT_NEAR(got.sum.item<double>() / sum, 1, 1e-5);
}

double At(const at::Tensor& tensor, std::vector<int64_t> at) {
  at::Tensor value = tensor.detach();
  for (const int64_t index : at) value = value[index];
  return value.item<double>();
}

TEST(AttentionScores, SumsSquaresOverRealPairsHeadsAndLayers) {
  const Case c = MakeCase(kLengths, 9);
  double sum = 0, count = 0;
  for (size_t layer = 0; layer < 2; ++layer)
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t h = 0; h < kHeads; ++h)
        for (int64_t q = 0; q < kLengths[b]; ++q)
          for (int64_t k = 0; k < kLengths[b]; ++k) {
            const double difference = At(c.outputs.scores[layer], {b, h, q, k}) -
                                      At(c.teacher.scores[kLayerMap[layer] - 1], {b, h, q, k});
            sum += difference * difference;
            count += layer == 0;
          }
  ExpectLoss(MakeLoss("attention_scores {}")->Compute(c.input()), sum, count);
}

double HiddenSum(const Case& c, bool project) {
  double sum = 0;
  for (size_t layer = 0; layer < 3; ++layer)
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t t = 0; t < kLengths[b]; ++t)
        for (int64_t d = 0; d < kTeacherWidth; ++d) {
          double value = project ? At(c.student.weights.at("fit_dense.bias"), {d})
                                 : At(c.outputs.hidden[layer], {b, t, d});
          for (int64_t k = 0; project && k < kWidth; ++k)
            value +=
                At(c.student.weights.at("fit_dense.weight"), {d, k}) * At(c.outputs.hidden[layer], {b, t, k});
          value -= At(c.teacher.hidden[layer == 0 ? 0 : kLayerMap[layer - 1]], {b, t, d});
          sum += value * value / kTeacherWidth;
        }
  return sum;
}

TEST(HiddenStates, SumsProjectedDistancesOverRealPositionsAndLayers) {
  const Case c = MakeCase(kLengths, 9);
  ExpectLoss(MakeLoss("hidden_states {}")->Compute(c.input()), HiddenSum(c, true), 7 + 4 + 1);
}

TEST(HiddenStates, ComparesDirectlyAtEqualWidthWithoutAProjection) {
  const Case c = MakeCase(kLengths, 9, 0, false);
  ExpectLoss(MakeLoss("hidden_states {}")->Compute(c.input()), HiddenSum(c, false), 7 + 4 + 1);
}

TEST(HiddenStates, AnotherWidthWithoutAProjectionIsABrokenInvariant) {
  Case c = MakeCase(kLengths, 9);
  c.student.weights = {};
  EXPECT_THROW(MakeLoss("hidden_states {}")->Compute(c.input()), std::logic_error);
}

std::vector<double> Probabilities(const at::Tensor& logits, int64_t row, double temperature) {
  std::vector<double> p;
  double sum = 0;
  for (int64_t k = 0; k < kClasses; ++k) sum += std::exp(At(logits, {row, k}) / temperature);
  for (int64_t k = 0; k < kClasses; ++k) p.push_back(std::exp(At(logits, {row, k}) / temperature) / sum);
  return p;
}

TEST(SoftLabels, IsTheDivergenceFromTheTeacherTimesTemperatureSquared) {
  const Case c = MakeCase(kLengths, 7);
  for (const double temperature : {1.0, 2.5}) {
    double sum = 0;
    for (int64_t b = 0; b < 3; ++b) {
      const auto p = Probabilities(c.teacher.logits, b, temperature),
                 q = Probabilities(c.outputs.logits, b, temperature);
      for (int64_t k = 0; k < kClasses; ++k) sum += p[k] * std::log(p[k] / q[k]) * temperature * temperature;
    }
    ExpectLoss(MakeLoss("soft_labels {temperature: " + std::to_string(temperature) + "}")->Compute(c.input()),
               sum, 3);
  }
}

TEST(SoftLabels, IsZeroForEqualLogitsAndFiniteForExtremeOnes) {
  Case c = MakeCase(kLengths, 7);
  c.teacher.logits = c.outputs.logits.detach().clone();
  EXPECT_NEAR(MakeLoss("soft_labels {}")->Compute(c.input()).sum.item<double>(), 0, 1e-6);
  c.teacher.logits = torch::tensor({{1e4f, 0.0f, -1e4f}, {0.0f, 0.0f, 0.0f}, {-1e4f, 1e4f, 0.0f}});
  EXPECT_TRUE(std::isfinite(MakeLoss("soft_labels {}")->Compute(c.input()).sum.item<double>()));
}

TEST(HardLabels, IsTheCrossEntropyWithTheLabel) {
  const Case c = MakeCase(kLengths, 7);
  double sum = 0;
  for (int64_t b = 0; b < 3; ++b) sum -= std::log(Probabilities(c.outputs.logits, b, 1)[b % kClasses]);
  ExpectLoss(MakeLoss("hard_labels {}")->Compute(c.input()), sum, 3);
}

}  // namespace
}  // namespace thimble::distill
