// A task of spans through data, models, losses, training and evaluation: the answer stands between "(" and
// ")".
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "data/spans.h"
#include "distill/start/sliced.h"
#include "models/hub/pretrained.h"
#include "proto/study.pb.h"
#include "tests/train/toy.h"
#include "train/batch.h"

namespace thimble::train {
namespace {

namespace fs = std::filesystem;
using models::TaskHead;

class SpanTest : public ::testing::Test {
 protected:
  SpanTest() {
    SetTorchThreads(1);
    directory_ = fs::temp_directory_path() / ("thimble_span_test_" + std::to_string(getpid()));
    fs::create_directories(directory_);
    std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n(\n)\n?\n";
    for (int i = 0; i < 40; ++i) vocabulary += "w" + std::to_string(i) + "\n";
    std::ofstream(directory_ / "vocab.txt") << vocabulary;
    tokenizer_ = std::make_unique<data::WordPiece>(directory_.string());
    task_ = data::FindTask("squad2");
    task_.spans.document_stride = 10;
  }
  ~SpanTest() override { fs::remove_all(directory_); }

  // A fifth of the questions have no answer; passages are longer than what a window of 32 holds.
  std::vector<data::Row> Rows(int count, uint64_t seed) const {
    std::vector<data::Row> rows;
    Random random(seed);
    const auto word = [&] { return "w" + std::to_string(random.Below(40)); };
    for (int i = 0; i < count; ++i) {
      data::Row row{.first = word() + " ?", .label = 0, .id = std::to_string(i)};
      const int size = 10 + static_cast<int>(random.Below(30));
      const int at = random.Chance(0.2) ? -1 : static_cast<int>(random.Below(static_cast<uint64_t>(size)));
      for (int t = 0; t < size; ++t) {
        if (t == at) {
          std::string answer = word();
          for (uint64_t more = random.Below(3); more > 0; --more) answer += " " + word();
          row.answers = {{answer, static_cast<int>(row.second.size()) + 2}};
          row.second += "( " + answer + " ) ";
        } else {
          row.second += word() + " ";
        }
      }
      rows.push_back(row);
    }
    return rows;
  }
  data::Dataset Make(int count, uint64_t seed) const {
    return data::Tokenize(Rows(count, seed), task_, *tokenizer_, 32, 1);
  }
  models::Model Student(int hidden, uint64_t seed, int teacher_hidden = 0, bool trigram = true) const {
    return models::MakeModel(ToyArchitecture(hidden, 1, "1", trigram), 2, teacher_hidden, Random(seed),
                             TaskHead::kTokens);
  }
  Job MakeJob(const data::Dataset& train, const data::Dataset& dev, const proto::Recipe& recipe) const {
    Job job;
    job.what = "spans";
    job.recipe = recipe;
    job.deployment.set_threads(1);
    job.sources[0].train = &train;
    job.sources[0].validate = &dev;
    job.sources[0].task = &task_;
    return job;
  }
  static double F1(const MemberResult& result) {
    return result.epochs.back().validations[0].metrics[0].value;
  }

  fs::path directory_;
  std::unique_ptr<data::WordPiece> tokenizer_;
  data::TaskEntry task_;
};

TEST_F(SpanTest, BatchesHoldLabelsAndPlaces) {
  const auto data = Make(20, 1);
  ASSERT_GT(data.size(), 25u);  // several windows a row
  const std::vector<int> rows = {3, 0, 7};
  const auto batch = MakeBatch(data, rows);
  ASSERT_EQ(batch.labels.sizes(), at::IntArrayRef({3, 2}));
  for (int64_t b = 0; b < 3; ++b) {
    const auto& example = data.examples[rows[b]];
    EXPECT_EQ(batch.labels[b][0].item<int64_t>(), example.start);
    EXPECT_EQ(batch.labels[b][1].item<int64_t>(), example.end);
    // [CLS] w ? [SEP] passage [SEP]
    for (int64_t t = 0; t < batch.ids.size(1); ++t) {
      const auto size = static_cast<int64_t>(example.ids.size());
      EXPECT_EQ(batch.answer_mask[b][t].item<float>(), t == 0 || (t >= 4 && t < size - 1) ? 1 : 0)
          << b << " " << t;
    }
  }
  EXPECT_EQ(MakeBatches(data, 8).size(), (data.size() + 7) / 8);
}

TEST_F(SpanTest, IsLearntFromLabelsAndFromATeacher) {
  const auto train = Make(260, 1), dev = Make(60, 2);
  auto teacher = Student(32, 3, 0, false);
  Job job = MakeJob(train, dev, ToyRecipe(kLabels, 25, "", "adamw { learning_rate: 5e-3 }"));
  job.members = {{.name = "teacher", .models = {&teacher}}};
  const auto taught = Train(job)[0];
  EXPECT_EQ(taught.failure, "");
  EXPECT_LT(taught.epochs.front().validations[0].metrics[0].value, 0.6);
  EXPECT_GT(F1(taught), 0.9);
  EXPECT_TRUE(taught.epochs.back().validations[0].answers.empty());  // checkpoints do not hold them

  // Labels that say nothing: what the student knows, it has from the teacher.
  auto unlabelled = train;
  for (auto& example : unlabelled.examples) example.start = example.end = 0;
  const auto recipe =
      ToyRecipe("loss { attention_scores {} } loss { hidden_states {} } loss { soft_labels {} }", 12);
  auto student = Student(24, 5, 32);
  Job distil = MakeJob(unlabelled, dev, recipe);
  distil.sources[0].teacher = &teacher;
  distil.members = {{.name = "student", .models = {&student}}};
  const auto learnt = Train(distil)[0];
  EXPECT_GT(F1(learnt), 0.8);

  // The cut student knows most of it before it is trained, and the head comes along.
  const distill::SlicedStart start(teacher, MakeBatches(train.Slice(0, 200), 16),
                                   MakeBatches(dev.Slice(0, 40), 16), proto::Sliced());
  const auto architecture = ToyArchitecture(32, 1, "1", true);
  const auto sliced = start.MakeCandidate(start.MakeSupernet(architecture, 1), architecture, nullptr);
  EXPECT_EQ(sliced.head, TaskHead::kTokens);
  const double kept = Evaluate(sliced, dev, &task_, {}).metrics[0].value;
  EXPECT_GT(kept, taught.epochs.front().validations[0].metrics[0].value);

  // What is saved answers as what was trained.
  models::SavePretrained(student, {"start", "end"}, directory_.string());
  const auto read = models::LoadPretrained(directory_.string());
  EXPECT_EQ(Evaluate(read.model, dev, &task_, {}).metrics[0].value, F1(learnt));
}

TEST_F(SpanTest, EvaluationScoresWhatTheLogitsAnswer) {
  const auto rows = Rows(40, 4);
  const auto data = data::Tokenize(rows, task_, *tokenizer_, 32, 1);
  auto model = Student(24, 5);
  for (const auto& [name, tensor] : model.weights)
    if (tensor.dim() == 2) const_cast<at::Tensor&>(tensor).mul_(8);
  const auto whole = Evaluate(model, data, &task_, {.batch_size = 7});
  // One window at a time, without padding.
  std::vector<std::vector<double>> logits;
  for (int i = 0; i < static_cast<int>(data.size()); ++i) {
    const at::NoGradGuard no_grad;
    const at::Tensor row = Forward(model, MakeBatch(data, {i})).logits[0].contiguous();
    logits.emplace_back(row.const_data_ptr<float>(), row.const_data_ptr<float>() + row.numel());
  }
  const auto answers = data::FindAnswers(data, rows, task_, logits);
  ASSERT_EQ(whole.answers.size(), rows.size());
  int given = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(whole.answered[i], static_cast<int>(i));
    EXPECT_EQ(whole.answers[i].text, answers[i].text);
    EXPECT_NEAR(whole.answers[i].null_odds, answers[i].null_odds, 1e-3);
    given += !answers[i].text.empty();
  }
  EXPECT_GT(given, 0);
  const auto metrics = data::ScoreAnswers(task_, rows, answers);
  ASSERT_EQ(whole.metrics.size(), 2u);
  for (size_t m = 0; m < 2; ++m) {
    EXPECT_EQ(whole.metrics[m].value, metrics[m].value);
    EXPECT_EQ(whole.metrics[m].standard_error, metrics[m].standard_error);
  }
  const auto flat = Logits(model, data, 7);
  for (size_t i = 0; i < data.size(); ++i)
    for (size_t k = 0; k < logits[i].size(); ++k) ASSERT_NEAR(flat[i][k], logits[i][k], 1e-4);

  // A part of the windows answers the rows that it has windows of.
  const size_t cut = data.RowStart(data.size() / 2);
  EXPECT_NE(data.windows[cut].row, data.windows[cut - 1].row);
  const auto part = Evaluate(model, data.Slice(cut, data.size()), &task_, {});
  EXPECT_EQ(part.answered.front(), data.windows[cut].row);
  EXPECT_EQ(part.answers.back().text, whole.answers.back().text);
  EXPECT_EQ(part.answers.size(), rows.size() - static_cast<size_t>(data.windows[cut].row));
}

TEST_F(SpanTest, TheThresholdIsTheOneThatScoresBest) {
  const auto rows = Rows(50, 6);
  const auto data = data::Tokenize(rows, task_, *tokenizer_, 32, 1);
  // Right spans; how sure no answer is, is noise about what is so.
  std::vector<std::vector<double>> logits;
  Random random(1);
  for (size_t i = 0; i < data.size(); ++i) {
    const auto& example = data.examples[i];
    logits.emplace_back(2 * example.ids.size());
    const bool has = !rows[data.windows[i].row].answers.empty();
    logits[i][0] = logits[i][1] = 4 + (has ? -1 : 1) + random.Normal();
    if (example.start > 0) logits[i][2 * example.start] = logits[i][2 * example.end + 1] = 3;
  }
  auto answers = data::FindAnswers(data, rows, task_, logits);
  const auto best = data::TuneThreshold(task_, rows, answers);
  const auto score = [&](double threshold) {
    data::ApplyThreshold(threshold, &answers);
    return data::ScoreAnswers(task_, rows, answers)[0].value;
  };
  EXPECT_NEAR(score(best.threshold), best.score, 1e-12);
  const auto odds = answers;
  for (const auto& answer : odds) EXPECT_LE(score(answer.null_odds), best.score + 1e-12);
  EXPECT_LT(score(-1e9), best.score);
  EXPECT_LT(score(1e9), best.score);
}

TEST_F(SpanTest, TheTeacherCacheGivesItsLogits) {
  const auto data = Make(30, 7);
  auto teacher = Student(32, 3, 0, false);
  for (const auto& [name, tensor] : teacher.weights)
    if (tensor.dim() == 2) const_cast<at::Tensor&>(tensor).mul_(8);
  const auto student = Student(24, 5, 32);
  const auto cache = TeacherCache::Open(ToyRecipe("loss { soft_labels {} }", 2), teacher, student.shape, data,
                                        2, directory_.string());
  ASSERT_NE(cache, nullptr);
  const std::vector<int> rows = {7, 0, 21, 12};
  const auto batch = MakeBatch(data, rows);
  const at::NoGradGuard no_grad;
  const at::Tensor wanted = Forward(teacher, batch).logits * batch.mask.unsqueeze(2);
  const at::Tensor got = cache->Get(rows).logits;
  ASSERT_EQ(got.sizes(), wanted.sizes());
  EXPECT_TRUE(at::allclose(got, wanted, 1e-5, 1e-5)) << (got - wanted).abs().max();
}

}  // namespace
}  // namespace thimble::train
