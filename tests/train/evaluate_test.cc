#include "train/evaluate.h"
#include "models/encoder/resolve.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "tests/train/toy.h"
#include "train/threads.h"

namespace thimble::train {
namespace {

class EvaluateTest : public ::testing::Test {
 protected:
  EvaluateTest() {
    // Larger than fresh weights, so that rows differ.
    for (auto* model : {&teacher_, &student_})
      for (const auto& [name, tensor] : model->weights)
        if (tensor.dim() == 2) const_cast<at::Tensor&>(tensor).mul_(8);
  }

  distill::Objective MakeObjective(const models::ResolvedArchitecture& shape) const {
    return distill::Objective(ToyRecipe(kDistillation, 1).objective(), shape, &teacher_, true);
  }

  const data::Dataset data_ = ToyData(45, 1);
  const data::TaskEntry task_ = ToyTask();
  models::Model teacher_ = ToyTeacher(4);
  models::Model student_ = ToyModel(ToyArchitecture(24, 2), 5, 32);
};

std::vector<double> Sums(const std::vector<distill::LossSum>& losses, std::vector<double>* counts) {
  std::vector<double> sums;
  for (size_t l = 0; l < losses.size(); ++l) {
    sums.push_back(losses[l].sum.item<double>());
    (*counts)[l] += losses[l].count;
  }
  return sums;
}

TEST_F(EvaluateTest, EqualsOneRowAtATime) {
  const auto objective = MakeObjective(student_.shape);
  const auto got =
      Evaluate(student_, data_, &task_, {.teacher = &teacher_, .objective = &objective, .batch_size = 16});
  std::vector<double> sums(4), counts(4);
  std::vector<int> predicted, gold;
  const at::NoGradGuard no_grad;
  for (int row = 0; row < 45; ++row) {
    const auto batch = MakeBatch(data_, {row});
    const auto wanted = models::ForwardOptions{.hidden_states = true, .attention_logits = true};
    const auto mine = Forward(student_, batch, wanted), its = Forward(teacher_, batch, wanted);
    const auto added = Sums(objective.Compute(student_, mine, &its, batch), &counts);
    for (size_t l = 0; l < 4; ++l) sums[l] += added[l];
    predicted.push_back(mine.logits[0][0].item<float>() >= mine.logits[0][1].item<float>() ? 0 : 1);
    gold.push_back(data_.examples[row].label);
  }
  EXPECT_EQ(got.predicted, predicted);
  EXPECT_GT(std::count(predicted.begin(), predicted.end(), 1), 0);
  ASSERT_EQ(got.losses.size(), 4u);
  double total = 0;
  for (size_t l = 0; l < 4; ++l) {
    EXPECT_NEAR(got.losses[l], sums[l] / counts[l], 1e-5 * sums[l] / counts[l]) << got.loss_names[l];
    total += objective.weights()[l] * got.losses[l];
  }
  EXPECT_DOUBLE_EQ(got.loss, total);
  EXPECT_DOUBLE_EQ(objective.weights()[3], 0.5);
  int right = 0;
  for (int row = 0; row < 45; ++row) right += predicted[row] == gold[row];
  ASSERT_EQ(got.metrics.size(), 2u);
  EXPECT_DOUBLE_EQ(got.metrics[0].value, right / 45.0);
}

TEST_F(EvaluateTest, DoesNotDependOnTheBatchSize) {
  const auto objective = MakeObjective(student_.shape);
  const auto small =
      Evaluate(student_, data_, &task_, {.teacher = &teacher_, .objective = &objective, .batch_size = 4});
  const auto large =
      Evaluate(student_, data_, &task_, {.teacher = &teacher_, .objective = &objective, .batch_size = 45});
  EXPECT_NEAR(small.loss, large.loss, 1e-5 * large.loss);
  EXPECT_EQ(small.predicted, large.predicted);
  EXPECT_EQ(small.row_losses.size(), 12u);
  EXPECT_EQ(large.row_losses.size(), 1u);
  EXPECT_GT(small.loss_standard_error, 0);
  EXPECT_EQ(large.loss_standard_error, 0);
}

TEST_F(EvaluateTest, StandardErrorOfEqualBatchesIsTheUsualOne) {
  const auto rows = data_.examples;
  auto data = data_;
  data.examples.resize(40);
  const auto objective = MakeObjective(student_.shape);
  const auto got =
      Evaluate(student_, data, nullptr, {.teacher = &teacher_, .objective = &objective, .batch_size = 1});
  ASSERT_EQ(got.row_losses.size(), 40u);
  double squares = 0;
  for (const double loss : got.row_losses) squares += (loss - got.loss) * (loss - got.loss);
  EXPECT_NEAR(got.loss_standard_error, std::sqrt(squares / 39 / 40), 1e-9);
  // The triangle inequality: errors of the parts, weighted, bound that of the sum.
  ASSERT_EQ(got.loss_standard_errors.size(), got.losses.size());
  double bound = 0;
  for (size_t l = 0; l < got.losses.size(); ++l) {
    EXPECT_GT(got.loss_standard_errors[l], 0) << got.loss_names[l];
    bound += objective.weights()[l] * got.loss_standard_errors[l];
  }
  EXPECT_LE(got.loss_standard_error, bound * (1 + 1e-9));
  EXPECT_TRUE(got.metrics.empty());
}

TEST_F(EvaluateTest, TogetherEqualsOneByOne) {
  const auto objective = MakeObjective(student_.shape);
  const auto small = models::Resolve(ToyArchitecture(24, 1, "1/2"));
  const EvaluateOptions options{.teacher = &teacher_, .objective = &objective, .batch_size = 16};
  SetTorchThreads(1);
  EvaluateOptions of_candidate = options;
  of_candidate.candidate = &small;
  const auto one = Evaluate(student_, data_, &task_, options),
             two = Evaluate(student_, data_, &task_, of_candidate);
  EXPECT_NE(one.loss, two.loss);
  Workers workers(2, 1);
  const auto both = EvaluateTogether({{&student_, nullptr, &objective}, {&student_, &small, &objective}},
                                     data_, &task_, options, &workers);
  EXPECT_EQ(both[0].loss, one.loss);
  EXPECT_EQ(both[1].loss, two.loss);
  EXPECT_EQ(both[1].predicted, two.predicted);
}

TEST_F(EvaluateTest, DivergenceIsOfTheTeachersAnswers) {
  const auto answers = Logits(teacher_, data_);
  const auto divergences = Divergences(answers, Logits(student_, data_), teacher_);
  const auto wanted = PairedDifference(divergences, std::vector<double>(divergences.size(), 0));
  const auto got = Evaluate(student_, data_, &task_, {.teacher_logits = &answers});
  ASSERT_TRUE(got.divergence);
  EXPECT_NEAR(got.divergence->mean, wanted.mean, 1e-6);
  EXPECT_NEAR(got.divergence->standard_error, wanted.standard_error, 1e-6);
  EXPECT_GT(got.divergence->mean, 0);
  EXPECT_TRUE(got.logits.empty());
  EXPECT_FALSE(Evaluate(student_, data_, &task_, {.keep_logits = true}).divergence);
}

TEST_F(EvaluateTest, LeavesTheModelAlone) {
  const auto before = Bytes(student_);
  student_.weights.RequireGrad(true);
  const auto objective = MakeObjective(student_.shape);
  for (const bool bfloat16 : {false, true}) {
    const auto got = Evaluate(student_, data_, &task_,
                              {.teacher = &teacher_, .objective = &objective, .bfloat16 = bfloat16});
    EXPECT_TRUE(std::isfinite(got.loss));
  }
  for (const auto& [name, tensor] : student_.weights) EXPECT_FALSE(tensor.grad().defined()) << name;
  EXPECT_EQ(Bytes(student_), before);
}

TEST_F(EvaluateTest, BFloat16IsNearFloat32) {
  const auto objective = MakeObjective(student_.shape);
  EvaluateOptions options{.teacher = &teacher_, .objective = &objective};
  const auto exact = Evaluate(student_, data_, &task_, options);
  options.bfloat16 = true;
  const auto rounded = Evaluate(student_, data_, &task_, options);
  EXPECT_NE(rounded.loss, exact.loss);
  EXPECT_NEAR(rounded.loss, exact.loss, 0.03 * exact.loss);
}

TEST_F(EvaluateTest, UnlabelledDataHaveNoMetrics) {
  auto data = data_;
  for (auto& example : data.examples) example.label = -1;
  const auto got = Evaluate(student_, data, &task_, {});
  EXPECT_TRUE(got.metrics.empty());
  EXPECT_EQ(got.predicted.size(), 45u);
  EXPECT_FALSE(MakeBatch(data, {0, 1}).labels.defined());
}

TEST_F(EvaluateTest, ProbabilitiesAreInDatasetOrder) {
  const auto probabilities = Predict(student_, data_, 7);
  const auto predicted = Evaluate(student_, data_, &task_, {}).predicted;
  ASSERT_EQ(probabilities.size(), 45u);
  for (size_t row = 0; row < 45; ++row) {
    ASSERT_EQ(probabilities[row].size(), 2u);
    EXPECT_NEAR(probabilities[row][0] + probabilities[row][1], 1, 1e-12);
    EXPECT_EQ(probabilities[row][1] > probabilities[row][0] ? 1 : 0, predicted[row]) << row;
  }
}

TEST(BatchTest, RowsArePaddedToTheLongest) {
  data::Dataset data;
  data.classes = 2;
  data.examples = {{{1, 5, 6}, {0, 0, 1}, 1}, {{1, 9}, {0, 1}, 0}, {{1, 2, 3, 4}, {0, 0, 0, 0}, 1}};
  const auto batch = MakeBatch(data, {1, 0});
  EXPECT_TRUE(at::equal(batch.ids, at::tensor({1, 9, 0, 1, 5, 6}, at::kLong).view({2, 3})));
  EXPECT_TRUE(at::equal(batch.segments, at::tensor({0, 1, 0, 0, 0, 1}, at::kLong).view({2, 3})));
  EXPECT_TRUE(at::equal(batch.mask, at::tensor({1, 1, 0, 1, 1, 1}, at::kFloat).view({2, 3})));
  EXPECT_TRUE(at::equal(batch.labels, at::tensor({0, 1}, at::kLong)));
  int64_t rows = 0;
  for (const auto& each : MakeBatches(data, 2)) rows += each.rows();
  EXPECT_EQ(rows, 3);
}

// A model that says NaN of the rows with a certain token, and its rows: all but row 20 are without.
struct NaNOfRow20 {
  NaNOfRow20() {
    model.weights.at("embedding.token")[kVocabulary - 1].fill_(std::nan(""));
    for (auto* rows : {&train, &dev})
      for (auto& example : rows->examples)
        for (auto& id : example.ids) id = std::min(id, kVocabulary - 2);
    dev.examples[20].ids[2] = kVocabulary - 1;
  }
  models::Model model = ToyModel(ToyArchitecture(24, 2), 5, 32);
  data::Dataset train = ToyData(40, 1), dev = ToyData(45, 2);
};

template <typename Work>
std::string FailureOf(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kFailed);
    return error.what();
  }
  return "no error";
}

TEST_F(EvaluateTest, OutputsThatAreNoneEndIt) {
  const NaNOfRow20 bad;
  const std::string expected =
      "scoring: row 21: the model says NaN or infinity, beginning with the embedding's output";
  EXPECT_EQ(FailureOf([&] { Evaluate(bad.model, bad.dev, &task_, {}); }), expected);
  EXPECT_EQ(FailureOf([&] { Logits(bad.model, bad.dev); }), expected);
  EXPECT_EQ(FailureOf([&] { Predict(bad.model, bad.dev); }), expected);
  EXPECT_NO_THROW(Evaluate(bad.model, bad.train, &task_, {}));
}

TEST_F(EvaluateTest, OneWithoutAScoreDoesNotEndTheOthers) {
  const NaNOfRow20 bad;
  const auto objective = MakeObjective(student_.shape), its = MakeObjective(bad.model.shape);
  const EvaluateOptions options{.teacher = &teacher_, .objective = &objective};
  const auto alone = Evaluate(student_, bad.dev, &task_, options);
  const auto both = EvaluateTogether({{&bad.model, nullptr, &its}, {&student_, nullptr, &objective}}, bad.dev,
                                     &task_, options);
  EXPECT_THAT(both[0].failure, testing::HasSubstr("row 21"));
  EXPECT_TRUE(both[0].metrics.empty());
  EXPECT_EQ(both[1].failure, "");
  EXPECT_EQ(both[1].predicted, alone.predicted);
  EXPECT_EQ(both[1].loss, alone.loss);
}

// The loss of its training rows is finite; the member leaves when its validation rows have no score.
TEST_F(EvaluateTest, AMemberWithoutAScoreLeaves) {
  NaNOfRow20 bad;
  auto good = ToyModel(ToyArchitecture(24, 2), 5, 32);
  Job job;
  job.what = "toy";
  job.recipe = ToyRecipe(kLabels, 2, "keep: BEST");
  job.deployment.set_threads(1);
  job.sources[0] = {.train = &bad.train, .validate = &bad.dev, .task = &task_};
  job.members = {{.name = "bad", .models = {&bad.model}}, {.name = "good", .models = {&good}}};
  const auto results = Train(job);
  EXPECT_THAT(results[0].failure, testing::HasSubstr("no score after epoch 1: row 21: the model says NaN"));
  EXPECT_TRUE(results[0].epochs.empty());
  EXPECT_EQ(results[0].best_epoch, 0);
  EXPECT_EQ(results[1].failure, "");
  EXPECT_EQ(results[1].epochs.size(), 2u);
}

}  // namespace
}  // namespace thimble::train
