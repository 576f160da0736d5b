#include "data/spans.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <set>

#include "data/metrics/squad_metrics.h"
#include "data/metrics/submission.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Ids:                     0      1      2      3     4  5  6  7  8  9 10 11 12
constexpr char kLetters[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\nd\ne\nf\ng\nh\nq\n";

class SpansTest : public ::testing::Test {
 protected:
  SpansTest() { task_.spans = {.document_stride = 2, .max_query = 2, .n_best = 3, .max_answer = 2}; }

  // Logits that are 0 but for the given (example, token, start, end).
  struct Peak {
    size_t example, token;
    double start, end;
  };
  static std::vector<std::vector<double>> Logits(const Dataset& data, const std::vector<Peak>& peaks) {
    std::vector<std::vector<double>> logits;
    for (const auto& example : data.examples) logits.emplace_back(2 * example.ids.size() + 6);
    for (const auto& peak : peaks) {
      logits[peak.example][2 * peak.token] = peak.start;
      logits[peak.example][2 * peak.token + 1] = peak.end;
    }
    return logits;
  }

  const Scratch scratch_;
  const WordPiece tokenizer_{scratch_.Write("vocab.txt", kLetters)};
  TaskEntry task_ = FindTask("squad2");
};

TEST_F(SpansTest, LongPassagesBecomeWindows) {
  // Five tokens of the passage fit: 10 - [CLS] q q [SEP] [SEP].
  const std::vector<Row> rows = {
      {.first = "q q q", .second = "a b c d e f g h", .label = 0, .answers = {{"f g", 10}}}};
  const Dataset data = TokenizeSpans(rows, task_, tokenizer_, 10, 1);
  ASSERT_EQ(data.examples.size(), 3u);
  EXPECT_EQ(data.kind, TaskKind::kSpan);
  EXPECT_EQ(data.classes, 2);
  EXPECT_THAT(data.examples[0].ids, ElementsAre(2, 12, 12, 3, 4, 5, 6, 7, 8, 3));
  EXPECT_THAT(data.examples[0].segments, ElementsAre(0, 0, 0, 0, 1, 1, 1, 1, 1, 1));
  EXPECT_THAT(data.examples[1].ids, ElementsAre(2, 12, 12, 3, 6, 7, 8, 9, 10, 3));
  EXPECT_THAT(data.examples[2].ids, ElementsAre(2, 12, 12, 3, 8, 9, 10, 11, 3));
  // The answer is f g: not in the first window, tokens 7 and 8 of the second, 5 and 6 of the third.
  EXPECT_EQ(data.examples[0].start, 0);
  EXPECT_EQ(data.examples[0].end, 0);
  EXPECT_EQ(data.examples[1].start, 7);
  EXPECT_EQ(data.examples[1].end, 8);
  EXPECT_EQ(data.examples[2].start, 5);
  EXPECT_EQ(data.examples[2].end, 6);
  EXPECT_EQ(data.windows[1].passage, 4);
  EXPECT_EQ(data.windows[1].offsets[3], (Offset{10, 11}));
  // Every token of the passage counts in exactly one window.
  std::multiset<uint32_t> counted;
  for (const auto& window : data.windows) {
    for (size_t t = 0; t < window.offsets.size(); ++t)
      if (window.widest[t]) counted.insert(window.offsets[t].begin);
  }
  EXPECT_THAT(counted, ElementsAre(0, 2, 4, 6, 8, 10, 12, 14));
}

TEST_F(SpansTest, CutPassagesAreOneWindowAndHashesDiffer) {
  std::vector<Row> rows = {{.first = "q", .second = "a b c", .label = 0, .answers = {{"b", 2}}}};
  const Dataset one = TokenizeSpans(rows, task_, tokenizer_, 64, 2);
  ASSERT_EQ(one.examples.size(), 1u);
  EXPECT_EQ(one.examples[0].start, 4);
  rows[0].answers = {{"c", 4}};
  EXPECT_NE(TokenizeSpans(rows, task_, tokenizer_, 64, 1).hash, one.hash);
  rows[0].answers.clear();
  EXPECT_EQ(TokenizeSpans(rows, task_, tokenizer_, 64, 1).examples[0].start, 0);
  EXPECT_EQ(one.Slice(0, 1).windows.size(), 1u);
}

TEST_F(SpansTest, AnswersAreCutFromThePassage) {
  const std::vector<Row> rows = {{.first = "q", .second = "A,  b c d e f g h", .label = 0, .id = "x"}};
  const Dataset data = TokenizeSpans(rows, task_, tokenizer_, 64, 1);
  // Tokens: [CLS] q [SEP] a , b c ...; the best span is "A,  b" were it not longer than max_answer.
  auto answers = FindAnswers(data, rows, task_, Logits(data, {{0, 3, 9, 0}, {0, 4, 0, 4}, {0, 5, 2, 5}}));
  EXPECT_EQ(answers[0].text, "A,");
  EXPECT_EQ(answers[0].n_best[0].score, 13);
  EXPECT_EQ(answers[0].null_odds, -13);
  ASSERT_EQ(answers[0].n_best.size(),
            3u);  // the passage's tokens are the n best, the question's are passed over
  EXPECT_EQ(answers[0].n_best[1].text, "A");
  EXPECT_EQ(answers[0].n_best[2].text, "b");
  // No answer beats it by more than the threshold.
  const auto logits = Logits(data, {{0, 0, 8, 8}, {0, 5, 7, 7}});
  EXPECT_EQ(FindAnswers(data, rows, task_, logits)[0].text, "");
  EXPECT_EQ(FindAnswers(data, rows, task_, logits)[0].best, "b");
  task_.null_threshold = 2;
  EXPECT_EQ(FindAnswers(data, rows, task_, logits)[0].text, "b");
  // Question and special tokens are no answers, and an end does not stand before its start.
  answers = FindAnswers(data, rows, task_, Logits(data, {{0, 1, 9, 9}, {0, 2, 9, 9}}));
  EXPECT_TRUE(answers[0].n_best.empty() || answers[0].n_best[0].score < 9);
}

TEST_F(SpansTest, PredictionsAreScoredAsTheOfficialScripts) {
  const std::vector<Row> rows = {
      {.first = "q", .second = "the cat sat", .label = 0, .answers = {{"cat sat", 4}}, .id = "1"},
      {.first = "q", .second = "the cat sat", .label = 0, .id = "2"}};
  const std::string path = scratch_.Write("p.json", SquadSubmission(rows, {"the cat", ""}));
  auto metrics = ScorePredictions(FindTask("squad2"), rows, path);
  EXPECT_EQ(metrics[0].name, "f1");
  EXPECT_NEAR(metrics[0].value, (2.0 / 3 + 1) / 2, 1e-12);
  EXPECT_EQ(metrics[1].value, 0.5);
  metrics = ScorePredictions(FindTask("squad"), {rows[0]}, scratch_.Write("q.json", "{}"));
  EXPECT_EQ(metrics[0].value, 0);
  EXPECT_THAT(ErrorOf([&] { ScorePredictions(FindTask("squad"), rows, scratch_.Write("r.json", "[]")); }),
              HasSubstr("r.json: not a JSON object"));
}

TEST_F(SpansTest, AnswersThatAreMissingAreSaid) {
  const std::vector<Row> rows = {
      {.first = "q", .second = "the cat sat", .label = 0, .answers = {{"the", 0}}, .id = "first"},
      {.first = "q", .second = "the cat sat", .label = 0, .answers = {{"cat", 4}}, .id = "second"},
      {.first = "q", .second = "the cat sat", .label = 0, .id = "third"}};
  const std::string path = scratch_.Write("p.json", R"({"second": "cat", "of another file": "x"})");
  // The script of 1.1 counts 0, whatever the answer ("the" is none to it, once articles are gone).
  const std::vector<Row> answered = {rows[0], rows[1]};
  testing::internal::CaptureStderr();
  EXPECT_EQ(ScorePredictions(FindTask("squad"), answered, path)[1].value, 0.5);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("p.json: no answer to 1 of 2 questions, the first of them \"first\"; they count 0"));
  // That of 2.0 leaves the question out; no answer is not the answer "there is none".
  testing::internal::CaptureStderr();
  EXPECT_EQ(ScorePredictions(FindTask("squad2"), rows, path)[1].value, 1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("no answer to 2 of 3 questions, the first of them \"first\"; they are left out"));
  EXPECT_THAT(ErrorOf([&] { ScorePredictions(FindTask("squad2"), rows, scratch_.Write("q.json", "{}")); }),
              HasSubstr("no answer to 3 of 3 questions"));
  testing::internal::CaptureStderr();
  ScorePredictions(FindTask("squad2"), rows, scratch_.Write("r.json", SquadSubmission(rows, {"a", "b", ""})));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(SpansTest, GlueFilesOfPredictions) {
  const TaskEntry& rte = FindTask("rte");
  EXPECT_EQ(GlueSubmission(rte, std::vector<int>{1, 0}),
            "index\tprediction\n0\tnot_entailment\n1\tentailment\n");
  EXPECT_EQ(GlueSubmission(FindTask("stsb"), std::vector<double>{5.2, -1, 2.00049}),
            "index\tprediction\n0\t5.000\n1\t0.000\n2\t2.000\n");
  const std::vector<Row> rows = {{"a", "b", 1}, {"c", "d", 1}};
  const auto score = [&](const std::string& text) {
    return ScorePredictions(rte, rows, scratch_.Write("p.tsv", text));
  };
  EXPECT_EQ(score(GlueSubmission(rte, std::vector<int>{1, 0}))[0].value, 0.5);
  EXPECT_THAT(ErrorOf([&] { score("index\tprediction\n0\tyes\n"); }),
              HasSubstr("p.tsv:2: unknown label; got \"yes\""));
  EXPECT_THAT(ErrorOf([&] { score("index\tprediction\n1\tentailment\n"); }), HasSubstr("index out of order"));
  EXPECT_THAT(ErrorOf([&] { score("index\tprediction\n0\tentailment\n"); }),
              HasSubstr("wrong number of predictions; got 1; accepted: 2"));
  EXPECT_THAT(ErrorOf([&] { score("prediction\nentailment\n"); }), HasSubstr("no column \"index\""));
}

// Gold answers go through windows, the tokens' offsets and back: nearly all come out as they went in, and the
// official score of the gold tokens is that of perfect answers.
TEST(PublishedSpansTest, GoldTokensGiveGoldAnswers) {
  const std::string data_directory = THIMBLE_SOURCE_DIR "/../shared/data";
  const std::string vocabulary = data_directory + "/vocab/bert-base-uncased-vocab.txt";
  if (!std::filesystem::exists(data_directory + "/squad")) GTEST_SKIP() << "no SQuAD at " << data_directory;
  const WordPiece tokenizer(vocabulary);
  for (const char* name : {"squad", "squad2"}) {
    TaskEntry task = FindTask(name);
    task.spans.max_answer = 512;
    const auto rows = ReadRows(task, SplitPath(task, data_directory, task.dev), 2000);
    const Dataset data = TokenizeSpans(rows, task, tokenizer, 384, 2);
    EXPECT_GE(data.examples.size(), rows.size());
    std::vector<std::vector<double>> logits;
    for (const auto& example : data.examples) {
      EXPECT_LE(example.ids.size(), 384u);
      logits.emplace_back(2 * example.ids.size());
      logits.back()[2 * example.start] = 10;
      logits.back()[2 * example.end + 1] = 10;
    }
    const auto answers = FindAnswers(data, rows, task, logits);
    std::vector<SpanScore> scores;
    for (size_t i = 0; i < rows.size(); ++i) {
      std::vector<std::string> gold;
      for (const auto& answer : rows[i].answers) gold.push_back(answer.text);
      scores.push_back(ScoreSpan(rows[i].answers.empty() ? "" : answers[i].best, gold,
                                 task.unanswerable ? SquadVersion::k2 : SquadVersion::k1));
    }
    EXPECT_GT(SpanMetrics({"exact_match"}, scores)[0].value, 0.98) << name;
    EXPECT_GT(SpanMetrics({"f1"}, scores)[0].value, 0.99) << name;
  }
}

}  // namespace
}  // namespace thimble::data
