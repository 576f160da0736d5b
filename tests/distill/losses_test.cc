// Each loss against plain loops in double precision over what is real.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <functional>

#include "models/hub/safetensors.h"
#include "tests/distill/cases.h"

namespace thimble::distill {
namespace {

const std::vector<int64_t> kLengths = {7, 4, 1};

void ExpectLoss(const LossSum& got, double sum, double count) {
  EXPECT_EQ(got.count, count);
  EXPECT_EQ(got.sum.scalar_type(), at::kFloat);
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
            const double difference = At(c.outputs.attention_logits[layer], {b, h, q, k}) -
                                      At(c.teacher.attention_logits[kLayerMap[layer] - 1], {b, h, q, k});
            sum += difference * difference;
            count += layer == 0;
          }
  ExpectLoss(MakeLoss("attention_scores {}")->Compute(c.input()), sum, count);
}

// The published code's means, in torch's own words: over padding as well, keys that are padding 0 on both
// sides.
TEST(CountPadding, IsTheMeanOverAllPositionsSummedOverLayers) {
  const Case c = MakeCase(kLengths, 9);
  const at::Tensor keys = c.batch.mask.view({3, 1, 1, 9});
  double scores = 0, states = 0;
  for (size_t layer = 0; layer < 2; ++layer)
    scores += at::mse_loss(c.outputs.attention_logits[layer] * keys,
                           c.teacher.attention_logits[kLayerMap[layer] - 1] * keys)
                  .item<double>();
  for (size_t layer = 0; layer < 3; ++layer)
    states +=
        at::mse_loss(at::linear(c.outputs.hidden_states[layer], c.student.weights.at("fit_dense.weight"),
                                c.student.weights.at("fit_dense.bias")),
                     c.teacher.hidden_states[layer == 0 ? 0 : kLayerMap[layer - 1]])
            .item<double>();
  ExpectLoss(MakeLoss("attention_scores { count_padding: true }")->Compute(c.input()),
             scores * 3 * kHeads * 81, 3 * kHeads * 81);
  ExpectLoss(MakeLoss("hidden_states { count_padding: true }")->Compute(c.input()), states * 27, 27);
}

double HiddenSum(const Case& c, bool project) {
  double sum = 0;
  for (size_t layer = 0; layer < 3; ++layer)
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t t = 0; t < kLengths[b]; ++t)
        for (int64_t d = 0; d < kTeacherWidth; ++d) {
          double value = project ? At(c.student.weights.at("fit_dense.bias"), {d})
                                 : At(c.outputs.hidden_states[layer], {b, t, d});
          for (int64_t k = 0; project && k < kWidth; ++k)
            value += At(c.student.weights.at("fit_dense.weight"), {d, k}) *
                     At(c.outputs.hidden_states[layer], {b, t, k});
          value -= At(c.teacher.hidden_states[layer == 0 ? 0 : kLayerMap[layer - 1]], {b, t, d});
          sum += value * value / kTeacherWidth;
        }
  return sum;
}

TEST(HiddenStates, StatesOfMixersAreComparedLayerByLayer) {
  const Case c = MakeCase(kLengths, 9);
  double sum = 0;
  for (size_t layer = 0; layer < 2; ++layer)
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t t = 0; t < kLengths[b]; ++t)
        for (int64_t d = 0; d < kTeacherWidth; ++d) {
          double value = At(c.student.weights.at("fit_dense.bias"), {d});
          for (int64_t k = 0; k < kWidth; ++k)
            value += At(c.student.weights.at("fit_dense.weight"), {d, k}) *
                     At(c.outputs.mixer_states[layer], {b, t, k});
          value -= At(c.teacher.mixer_states[kLayerMap[layer] - 1], {b, t, d});
          sum += value * value / kTeacherWidth;
        }
  ExpectLoss(MakeLoss("hidden_states { states: MIXER }")->Compute(c.input()), sum, 7 + 4 + 1);
}

TEST(AttentionLosses, LeaveOutLayersWithoutScores) {
  for (const char* text : {"attention_scores {}", "attention_distributions {}"}) {
    SCOPED_TRACE(text);
    const auto loss = MakeLoss(text);
    const Case whole = MakeCase({5, 3}, 6);
    Case without = MakeCase({5, 3}, 6);
    LossInput second = whole.input();
    second.only_layer = 1;
    without.outputs.attention_logits[0] = at::Tensor();
    const LossSum got = loss->Compute(without.input()), wanted = loss->Compute(second);
    EXPECT_DOUBLE_EQ(got.sum.item<double>(), wanted.sum.item<double>());
    EXPECT_GT(got.sum.item<double>(), 0);
    EXPECT_EQ(got.count, wanted.count);
    // A progressive objective is at the layer that has none.
    LossInput first = without.input();
    first.only_layer = 0;
    EXPECT_EQ(loss->Compute(first).sum.item<double>(), 0);
    EXPECT_EQ(loss->Compute(first).count, wanted.count);
  }
}

TEST(HiddenStates, SumsProjectedDistancesOverRealPositionsAndLayers) {
  const Case c = MakeCase(kLengths, 9);
  ExpectLoss(MakeLoss("hidden_states {}")->Compute(c.input()), HiddenSum(c, true), 7 + 4 + 1);
}

// Masked tokens: a row of scores for each token that is to be found, in order.
TEST(MaskedText, LabelsAreOfHiddenWordsAlone) {
  Case c = MakeCase({5, 3}, 6);
  c.batch.labels = at::full({2, 6}, -1, at::kLong);
  c.batch.labels[0][3] = 2;
  c.batch.labels[1][0] = 1;
  c.batch.labels[1][2] = 0;
  const at::Tensor student = torch::tensor({{0.5, -1.0, 2.0}, {1.0, 0.25, 0.0}, {-0.5, 0.0, 3.0}}),
                   teacher = torch::tensor({{1.0, 0.0, 2.5}, {0.0, 2.0, -1.0}, {0.5, 0.5, 0.0}});
  c.outputs.logits = student;
  c.teacher.logits = teacher;
  const int words[] = {2, 1, 0};
  double hard = 0, soft = 0;
  for (int64_t n = 0; n < 3; ++n) {
    const auto shares = [](const at::Tensor& scores) {
      std::vector<double> of;
      double sum = 0;
      for (int64_t k = 0; k < 3; ++k) sum += std::exp(scores[k].item<double>());
      for (int64_t k = 0; k < 3; ++k) of.push_back(std::exp(scores[k].item<double>()) / sum);
      return of;
    };
    const auto q = shares(student[n]), p = shares(teacher[n]);
    hard -= std::log(q[words[n]]);
    for (int64_t k = 0; k < 3; ++k) soft += p[k] * std::log(p[k] / q[k]);
  }
  ExpectLoss(MakeLoss("hard_labels {}")->Compute(c.input()), hard, 3);
  ExpectLoss(MakeLoss("soft_labels {}")->Compute(c.input()), soft, 3);
}

TEST(HiddenStates, OwnProjectionsBeginAsTheSharedOneAndThenGoTheirWays) {
  Case c = MakeCase(kLengths, 9);
  c.student.shape.layers.resize(2);
  const auto loss = MakeLoss("hidden_states { own_projections: true states: LAYERS }");
  const auto both = [&](size_t changed, double by) {
    double sum = 0;
    for (const size_t layer : {1, 2})
      for (int64_t b = 0; b < 3; ++b)
        for (int64_t t = 0; t < kLengths[b]; ++t)
          for (int64_t d = 0; d < kTeacherWidth; ++d) {
            double value = At(c.student.weights.at("fit_dense.bias"), {d}) + (layer == changed ? by : 0);
            for (int64_t k = 0; k < kWidth; ++k)
              value += At(c.student.weights.at("fit_dense.weight"), {d, k}) *
                       At(c.outputs.hidden_states[layer], {b, t, k});
            value -= At(c.teacher.hidden_states[kLayerMap[layer - 1]], {b, t, d});
            sum += value * value / kTeacherWidth;
          }
    return sum;
  };
  ExpectLoss(loss->Compute(c.input()), both(0, 0), 7 + 4 + 1);  // not there yet
  proto::Objective objective;
  ParseText("loss { hidden_states { own_projections: true states: LAYERS } }", "test", &objective);
  AddOwnProjections(objective, {&c.student});
  EXPECT_FALSE(c.student.weights.Has("fit_dense.0.weight"));  // the embedding's output is not compared
  ExpectLoss(loss->Compute(c.input()), both(0, 0), 7 + 4 + 1);
  c.student.weights.at("fit_dense.2.bias") = c.student.weights.at("fit_dense.2.bias") + 0.5;
  AddOwnProjections(objective, {&c.student});  // leaves what is there
  ExpectLoss(loss->Compute(c.input()), both(2, 0.5), 7 + 4 + 1);
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

// Log-share of position t among those of row b that `places` holds.
double LogShare(const at::Tensor& logits, const at::Tensor& places, int64_t b, int64_t t, int64_t k,
                double temperature) {
  double sum = 0;
  for (int64_t i = 0; i < places.size(1); ++i)
    if (At(places, {b, i}) != 0) sum += std::exp(At(logits, {b, i, k}) / temperature);
  return At(logits, {b, t, k}) / temperature - std::log(sum);
}

TEST(SpanLabels, HardIsTheMeanCrossEntropyOfStartAndEndOverRealTokens) {
  const Case c = MakeSpanCase(kLengths, 9);
  double sum = 0;
  for (int64_t b = 0; b < 3; ++b)
    for (int64_t k = 0; k < 2; ++k)
      sum -= LogShare(c.outputs.logits, c.batch.mask, b, static_cast<int64_t>(At(c.batch.labels, {b, k})), k,
                      1) /
             2;
  ExpectLoss(MakeLoss("hard_labels {}")->Compute(c.input()), sum, 3);
}

TEST(SpanLabels, SoftIsTheMeanDivergenceOfStartAndEndOverThePassageAndNoAnswer) {
  const Case c = MakeSpanCase({7, 5, 4}, 9);
  for (const double temperature : {1.0, 2.5}) {
    double sum = 0;
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t k = 0; k < 2; ++k)
        for (int64_t t = 0; t < 9; ++t) {
          if (At(c.batch.answer_mask, {b, t}) == 0) continue;
          const double p = LogShare(c.teacher.logits, c.batch.answer_mask, b, t, k, temperature),
                       q = LogShare(c.outputs.logits, c.batch.answer_mask, b, t, k, temperature);
          sum += std::exp(p) * (p - q) * temperature * temperature / 2;
        }
    ExpectLoss(MakeLoss("soft_labels {temperature: " + std::to_string(temperature) + "}")->Compute(c.input()),
               sum, 3);
  }
}

TEST(SpanLabels, SoftLooksAtNoAnswerButNotAtTheQuestion) {
  const auto loss = MakeLoss("soft_labels {}");
  const double before = loss->Compute(MakeSpanCase({7, 5}, 8).input()).sum.item<double>();
  Case question = MakeSpanCase({7, 5}, 8);
  question.teacher.logits.slice(1, 1, 2).add_(5);
  EXPECT_EQ(loss->Compute(question.input()).sum.item<double>(), before);
  Case none = MakeSpanCase({7, 5}, 8);
  none.teacher.logits.slice(1, 0, 1).add_(5);
  EXPECT_NE(loss->Compute(none.input()).sum.item<double>(), before);
}

class SpanLoss : public testing::TestWithParam<const char*> {
 protected:
  LossSum Compute(const Case& c) const { return MakeLoss(GetParam())->Compute(c.input()); }
};

TEST_P(SpanLoss, PaddingIsInNeitherSumNorCountNorGradient) {
  const LossSum tight = Compute(MakeSpanCase({6, 5}, 6));
  const Case c = MakeSpanCase({6, 5}, 17);
  const LossSum loose = Compute(c);
  EXPECT_EQ(tight.count, loose.count);
  EXPECT_NEAR(loose.sum.item<double>() / tight.sum.item<double>(), 1, 1e-6);
  const at::Tensor gradient = torch::autograd::grad({loose.sum}, {c.outputs.logits})[0];
  EXPECT_TRUE(gradient.isfinite().all().item<bool>());
  EXPECT_GT(gradient.abs().max().item<float>(), 0);
  EXPECT_EQ((gradient * (1 - c.batch.mask.unsqueeze(2))).abs().max().item<float>(), 0);
}

TEST_P(SpanLoss, UnevenBatchesAddUpToOne) {
  const LossSum a = Compute(MakeSpanCase({6, 5, 8}, 8)), b = Compute(MakeSpanCase({4}, 4, 3));
  const LossSum joint = Compute(MakeSpanCase({6, 5, 8, 4}, 8));
  EXPECT_EQ(a.count + b.count, joint.count);
  EXPECT_NEAR((a.sum + b.sum).item<double>() / joint.sum.item<double>(), 1, 1e-6);
}

TEST_P(SpanLoss, GradientsAgreeWithDifferences) {
  const Case c = MakeSpanCase({6, 5}, 8);
  const at::Tensor gradient = torch::autograd::grad({Compute(c).sum}, {c.outputs.logits})[0];
  const at::NoGradGuard no_grad;
  const at::Tensor direction = gradient / gradient.norm();
  at::Tensor logits = c.outputs.logits;
  constexpr double kStep = 0.05;
  logits.add_(direction, kStep);
  const double above = Compute(c).sum.item<double>();
  logits.sub_(direction, 2 * kStep);
  const double below = Compute(c).sum.item<double>();
  EXPECT_NEAR((above - below) / (2 * kStep) / gradient.norm().item<double>(), 1, 3e-3);
}

INSTANTIATE_TEST_SUITE_P(Labels, SpanLoss, testing::Values("hard_labels {}", "soft_labels {}"),
                         [](const auto& info) { return info.index == 0 ? "Hard" : "Soft"; });

// Shares of the first `length` of `logits`.
std::vector<double> Shares(const std::vector<double>& logits) {
  double sum = 0;
  for (const double x : logits) sum += std::exp(x);
  std::vector<double> p;
  for (const double x : logits) p.push_back(std::exp(x) / sum);
  return p;
}

double Cross(const std::vector<double>& p, const std::vector<double>& q) {
  double sum = 0;
  for (size_t k = 0; k < p.size(); ++k) sum -= p[k] * std::log(q[k]);
  return sum;
}

TEST(AttentionDistributions, DivergesOverRealKeysOfRealQueries) {
  const Case c = MakeCase(kLengths, 9);
  double kl = 0, last = 0, cross = 0, count = 0;
  for (size_t layer = 0; layer < 2; ++layer)
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t h = 0; h < kHeads; ++h)
        for (int64_t query = 0; query < kLengths[b]; ++query) {
          const auto shares = [&](const at::Tensor& scores) {
            std::vector<double> logits;
            for (int64_t k = 0; k < kLengths[b]; ++k) logits.push_back(At(scores, {b, h, query, k}));
            return Shares(logits);
          };
          const auto q = shares(c.outputs.attention_logits[layer]),
                     p = shares(c.teacher.attention_logits[kLayerMap[layer] - 1]);
          kl += Cross(p, q) - Cross(p, p);
          if (layer == 1) last += Cross(p, q) - Cross(p, p);
          cross += Cross(p, q);
          count += layer == 0;
        }
  ExpectLoss(MakeLoss("attention_distributions {}")->Compute(c.input()), kl, count);
  ExpectLoss(MakeLoss("attention_distributions { last_layer: true }")->Compute(c.input()), last, count);
  ExpectLoss(MakeLoss("attention_distributions { divergence: CROSS_ENTROPY }")->Compute(c.input()), cross,
             count);
}

double RelationSum(const Case& c, const at::Tensor& student, const at::Tensor& teacher, int64_t heads) {
  double sum = 0;
  for (int64_t b = 0; b < 3; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t query = 0; query < kLengths[b]; ++query) {
        const auto shares = [&](const at::Tensor& vectors) {
          const int64_t width = vectors.size(2) / heads;
          std::vector<double> logits;
          for (int64_t k = 0; k < kLengths[b]; ++k) {
            double dot = 0;
            for (int64_t i = h * width; i < (h + 1) * width; ++i)
              dot += At(vectors, {b, query, i}) * At(vectors, {b, k, i});
            logits.push_back(dot / std::sqrt(static_cast<double>(width)));
          }
          return Shares(logits);
        };
        const auto p = shares(teacher);
        sum += Cross(p, shares(student)) - Cross(p, p);
      }
  return sum;
}

TEST(MiniLmRelations, ComparesLastLayersByHeadsOfItsOwn) {
  const Case c = MakeCase(kLengths, 9);
  const auto &student = c.outputs.projections[1], &last = c.teacher.projections[3],
             &second = c.teacher.projections[1];
  const double tokens = 7 + 4 + 1;
  ExpectLoss(MakeLoss("minilm_relations {}")->Compute(c.input()),
             RelationSum(c, student.query, last.query, 2) + RelationSum(c, student.key, last.key, 2) +
                 RelationSum(c, student.value, last.value, 2),
             3 * 2 * tokens);
  ExpectLoss(MakeLoss("minilm_relations { heads: 1 part: VALUE teacher_layer: 2 }")->Compute(c.input()),
             RelationSum(c, student.value, second.value, 1), tokens);
}

// Linears of the last state in the place of the last layer's vectors.
TEST(MiniLmRelations, HasProjectionsOfItsOwn) {
  Case c = MakeCase(kLengths, 9);
  c.outputs.last_hidden_state =
      c.outputs.hidden_states.back().detach().masked_fill(c.batch.mask.unsqueeze(2) == 0, 0);
  c.outputs.projections.clear();  // a mixer has none
  c.student.shape.hidden = kWidth;
  proto::Objective objective;
  ParseText("loss { minilm_relations { own_projections: true part: [QUERY, VALUE] } }", "test", &objective);
  AddOwnProjections(objective, {&c.student});
  const size_t weights = c.student.weights.size();
  AddOwnProjections(objective, {&c.student});
  EXPECT_EQ(c.student.weights.size(), weights);  // once
  EXPECT_TRUE(c.student.weights.Has("fit_dense.query.weight"));
  EXPECT_FALSE(c.student.weights.Has("fit_dense.key.weight"));
  const auto of = [&](const std::string& part) {
    return models::Linear(c.student, "fit_dense." + part, c.outputs.last_hidden_state);
  };
  const auto& last = c.teacher.projections[3];
  ExpectLoss(MakeLoss("minilm_relations { own_projections: true part: [QUERY, VALUE] }")->Compute(c.input()),
             RelationSum(c, of("query"), last.query, 2) + RelationSum(c, of("value"), last.value, 2),
             2 * 2 * (7 + 4 + 1));
}

// What a kernel attends to stands where a layer has no scores.
TEST(AttentionDistributions, OfAKernel) {
  Case c = MakeCase(kLengths, 9);
  const auto whole = MakeLoss("attention_distributions {}")->Compute(c.input());
  c.outputs.kernel_logits = {at::Tensor(), c.outputs.attention_logits[1] + 3};  // a constant says nothing
  c.outputs.attention_logits[1] = at::Tensor();
  ExpectLoss(MakeLoss("attention_distributions {}")->Compute(c.input()), whole.sum.item<double>(),
             whole.count);
  // Scores of another meaning are compared with none.
  const auto first = MakeLoss("attention_scores {}")->Compute(c.input());
  c.outputs.kernel_logits.clear();
  ExpectLoss(MakeLoss("attention_scores {}")->Compute(c.input()), first.sum.item<double>(), first.count);
}

// tests/golden/structures.py
TEST(ExpertBalance, IsThatOfTheGolden) {
  const auto tensors =
      models::ReadSafetensors(THIMBLE_SOURCE_DIR "/tests/golden/structures.safetensors").tensors;
  Case c = MakeCase({5, 3}, 5);
  c.batch.mask = tensors.at("routed.mask");
  const at::Tensor shares = tensors.at("routed.shares").unsqueeze(0);
  const double want = tensors.at("routed.balance").item<double>();
  c.outputs.routing = {shares, at::Tensor()};
  ExpectLoss(MakeLoss("expert_balance {}")->Compute(c.input()), 8 * want, 8);
  // The mean over blocks; one where all is alike.
  const at::Tensor alike = at::full({1, 2, 5, 3}, 1.0 / 3);
  c.outputs.routing = {shares, alike};
  ExpectLoss(MakeLoss("expert_balance {}")->Compute(c.input()), 8 * (want + 1) / 2, 8);
}

// Of the states in `layers` (0: the embedding), the distance of each compared token summed by `each`.
double StateSum(const Case& c, const std::vector<size_t>& layers, bool first_token,
                const std::function<double(const at::Tensor&, const at::Tensor&)>& each) {
  double sum = 0;
  for (const size_t layer : layers)
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t t = 0; t < (first_token ? 1 : kLengths[b]); ++t) {
        const at::Tensor x = c.outputs.hidden_states[layer].detach()[b][t].to(at::kDouble);
        const at::Tensor projected =
            at::mv(c.student.weights.at("fit_dense.weight").detach().to(at::kDouble), x) +
            c.student.weights.at("fit_dense.bias").detach().to(at::kDouble);
        sum += each(
            projected,
            c.teacher.hidden_states[layer == 0 ? 0 : kLayerMap[layer - 1]].detach()[b][t].to(at::kDouble));
      }
  return sum;
}

TEST(HiddenStates, OtherDistancesStatesAndTokens) {
  const Case c = MakeCase(kLengths, 9);
  const auto squared = [](const at::Tensor& a, const at::Tensor& b) {
    return (a - b).square().mean().item<double>();
  };
  const auto cosine = [](const at::Tensor& a, const at::Tensor& b) {
    return 1 - (a.dot(b) / a.norm() / b.norm()).item<double>();
  };
  const auto normalised = [&](const at::Tensor& a, const at::Tensor& b) {
    const auto of = [](const at::Tensor& x) { return (x - x.mean()) / x.std(false); };
    return squared(of(a), of(b));
  };
  const double tokens = 7 + 4 + 1;
  const auto loss = [&](const std::string& text) {
    return MakeLoss("hidden_states { " + text + " }")->Compute(c.input());
  };
  ExpectLoss(loss("states: LAYERS"), StateSum(c, {1, 2}, false, squared), tokens);
  ExpectLoss(loss("states: EMBEDDING"), StateSum(c, {0}, false, squared), tokens);
  ExpectLoss(loss("states: INNER first_token: true"), StateSum(c, {1}, true, squared), 3);
  ExpectLoss(loss("distance: COSINE states: LAST"), StateSum(c, {2}, false, cosine), tokens);
  ExpectLoss(loss("distance: LAYER_NORMALISED"), StateSum(c, {0, 1, 2}, false, normalised), tokens);
  // PKD: squared distance of states of length 1 is twice 1 - cosine.
  const auto of_length_one = [](const at::Tensor& a, const at::Tensor& b) {
    return (a / a.norm() - b / b.norm()).square().sum().item<double>() / 2;
  };
  ExpectLoss(loss("distance: COSINE states: INNER first_token: true"), StateSum(c, {1}, true, of_length_one),
             3);
}

TEST(SoftLabels, CrossEntropyDiffersByTheTeachersEntropyAlone) {
  const Case c = MakeCase(kLengths, 9);
  double cross = 0;
  for (int64_t b = 0; b < 3; ++b)
    cross += Cross(Probabilities(c.teacher.logits, b, 1), Probabilities(c.outputs.logits, b, 1));
  ExpectLoss(MakeLoss("soft_labels { divergence: CROSS_ENTROPY }")->Compute(c.input()), cross, 3);
  ExpectLoss(MakeLoss("soft_labels { divergence: AVERAGED_CROSS_ENTROPY }")->Compute(c.input()),
             cross / kClasses, 3);
}

}  // namespace
}  // namespace thimble::distill
