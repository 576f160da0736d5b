// The predictor against the pieces that training uses, on small random models in a directory.
#include "runtime/runtime.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "data/spans.h"
#include "models/hub/pretrained.h"
#include "models/hub/safetensors.h"
#include "tests/models/fixtures.h"
#include "tests/runtime/fixtures.h"
#include "train/evaluate.h"

namespace thimble::runtime {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::SizeIs;

// What training's code computes for the inputs.
std::vector<std::vector<double>> Expected(const std::string& directory, int max_length) {
  const auto loaded = models::LoadPretrained(directory);
  const data::WordPiece tokenizer(directory);
  data::Dataset data;
  for (const Input& input : Inputs()) {
    const auto encoding =
        tokenizer.Encode(input.first, input.second.value_or(""), input.second.has_value(), max_length);
    data.examples.push_back({.ids = encoding.ids, .segments = encoding.segments});
  }
  return train::Logits(loaded.model, data, 1);
}

TEST(Runtime, ClassifiesAsTrainingDoes) {
  const std::string directory = MakeDirectory("classes", 3);
  const auto expected = Expected(directory, 20);
  for (const int batch : {1, 3, 32}) {
    const Predictor predictor(directory, {.batch = batch});
    EXPECT_EQ(predictor.kind(), Kind::kClassification);
    EXPECT_EQ(predictor.max_length(), 20);
    EXPECT_THAT(predictor.labels(), testing::ElementsAre("label0", "label1", "label2"));
    const auto predictions = predictor.Predict(Inputs());
    ASSERT_EQ(predictions.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      SCOPED_TRACE(i);
      ASSERT_THAT(predictions[i].windows, SizeIs(1));
      const auto& logits = predictions[i].windows[0].logits;
      ASSERT_THAT(logits, SizeIs(3));
      const auto shares = train::Softmax(expected[i]);
      for (int c = 0; c < 3; ++c) {
        EXPECT_NEAR(logits[c], expected[i][c], 1e-5);
        EXPECT_NEAR(predictions[i].probabilities[c], shares[c], 1e-5);
        EXPECT_LE(predictions[i].probabilities[c], predictions[i].probabilities[predictions[i].label]);
      }
      EXPECT_EQ(predictions[i].label_name, "label" + std::to_string(predictions[i].label));
    }
  }
}

TEST(Runtime, CutsLongTexts) {
  const std::string directory = MakeDirectory("cut", 2);
  const auto expected = Expected(directory, 7);
  const auto predictions = Predictor(directory, {.max_length = 7}).Predict(Inputs());
  EXPECT_THAT(predictions[4].windows[0].ids, SizeIs(7));
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(predictions[i].windows[0].logits[0], expected[i][0], 1e-5);
}

TEST(Runtime, ReadsAsTheModelWasTrained) {
  const std::string directory = MakeDirectory("trained", 2);
  const auto loaded = models::LoadPretrained(directory);
  models::SavePretrained(loaded.model, loaded.label_names, directory, {.max_length = 7});
  EXPECT_EQ(Predictor(directory).max_length(), 7);
  EXPECT_EQ(Predictor(directory, {.max_length = 9}).max_length(), 9);
  EXPECT_THAT(Predictor(directory).Predict(Inputs())[4].windows[0].ids, SizeIs(7));
  WriteFileAtomically(MakeDirectory("cut_by_tokenizer", 2) + "/tokenizer_config.json",
                      R"({"model_max_length": 8})");
  EXPECT_EQ(Predictor(testing::TempDir() + "/runtime_cut_by_tokenizer").max_length(), 8);
}

TEST(Runtime, ReadsPassagesAsTheModelWasTrained) {
  const std::string directory = MakeDirectory("passages", 2, models::TaskHead::kTokens);
  const std::vector<Input> inputs = {
      {"where", "a heron stood in the water and waited for the fog and stood in the water"}};
  EXPECT_THAT(Predictor(directory, {.max_length = 14}).Predict(inputs)[0].windows, SizeIs(3));
  const auto loaded = models::LoadPretrained(directory);
  proto::SpanReading reading;
  reading.set_document_stride(1);
  models::SavePretrained(loaded.model, loaded.label_names, directory, {.max_length = 14, .reading = reading});
  EXPECT_THAT(Predictor(directory).Predict(inputs)[0].windows, SizeIs(7));
}

TEST(Runtime, GivesANumber) {
  const std::string directory = MakeDirectory("number", 1);
  const auto expected = Expected(directory, 20);
  const Predictor predictor(directory);
  EXPECT_EQ(predictor.kind(), Kind::kRegression);
  const auto predictions = predictor.Predict(Inputs());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(predictions[i].score, expected[i][0], 1e-5);
    EXPECT_EQ(predictions[i].label, -1);
  }
}

TEST(Runtime, GivesEachLabelItsOwnProbability) {
  const std::string directory = MakeDirectory("labels", 3);
  const auto expected = Expected(directory, 20);
  SayMultiLabel(directory);
  const Predictor predictor(directory);
  EXPECT_EQ(predictor.kind(), Kind::kMultiLabel);
  EXPECT_THAT(predictor.labels(), testing::ElementsAre("label0", "label1", "label2"));
  const auto predictions = predictor.Predict(Inputs());
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_THAT(predictions[i].probabilities, SizeIs(3));
    for (int c = 0; c < 3; ++c)
      EXPECT_NEAR(predictions[i].probabilities[c], 1 / (1 + std::exp(-expected[i][c])), 1e-5);
    EXPECT_EQ(predictions[i].label_name, "label" + std::to_string(predictions[i].label));
  }
  const std::string one = MakeDirectory("one_label", 1);
  SayMultiLabel(one);
  EXPECT_EQ(Predictor(one).kind(), Kind::kMultiLabel);
}

TEST(Runtime, AnswersQuestions) {
  const std::vector<Input> inputs = {{"where did it", "a heron stood in the water and waited for the fog"},
                                     {"where", "the fog"}};
  for (const std::optional<double> threshold : {std::optional<double>(), std::optional<double>(-1e6)}) {
    const std::string directory = MakeDirectory("spans", 2, models::TaskHead::kTokens, threshold);
    const Predictor predictor(directory, {.max_length = 12});
    EXPECT_EQ(predictor.kind(), Kind::kSpan);
    EXPECT_EQ(predictor.unanswerable(), threshold.has_value());
    EXPECT_TRUE(predictor.labels().empty());
    const auto predictions = predictor.Predict(inputs);
    EXPECT_GT(predictions[0].windows.size(), 1u);  // the passage does not fit into one
    for (size_t i = 0; i < inputs.size(); ++i) {
      const auto& prediction = predictions[i];
      for (const Window& window : prediction.windows) EXPECT_EQ(window.logits.size(), 2 * window.ids.size());
      double sum = 0;
      for (const Choice& choice : prediction.choices) {
        sum += choice.probability;
        EXPECT_THAT(*inputs[i].second, HasSubstr(choice.text));
      }
      EXPECT_NEAR(sum, 1, 1e-9);
      if (threshold) {
        EXPECT_EQ(prediction.answer, "");
        EXPECT_EQ(prediction.choices.back().text, "");
        EXPECT_NEAR(prediction.choices.back().score, prediction.null_odds + prediction.choices[0].score,
                    1e-9);
      } else {
        EXPECT_EQ(prediction.answer, prediction.choices[0].text);
        EXPECT_NE(prediction.answer, "");
      }
    }
  }
}

TEST(Runtime, ReportsItsWork) {
  const Predictor predictor(MakeDirectory("report", 2), {.batch = 3});
  Report report;
  const auto predictions = predictor.Predict(Inputs(), &report);
  EXPECT_EQ(report.rows, 7);
  EXPECT_EQ(report.windows, 7);
  EXPECT_EQ(report.batches, 3);
  int64_t tokens = 0;
  for (const auto& prediction : predictions) tokens += static_cast<int64_t>(prediction.windows[0].ids.size());
  EXPECT_EQ(report.tokens, tokens);
  EXPECT_GT(report.compute_ms, 0);
  EXPECT_LE(report.batch_median_ms, report.batch_high_ms);
  EXPECT_LE(report.batch_high_ms, report.compute_ms);

  EXPECT_TRUE(predictor.Predict({}, &report).empty());
  EXPECT_EQ(report.rows, 0);

  const Latency latency = predictor.MeasureLatency(2, 16, 1, 5);
  EXPECT_EQ(latency.runs, 5);
  EXPECT_EQ(latency.batch, 2);
  EXPECT_LE(latency.low_ms, latency.median_ms);
  EXPECT_GT(latency.low_ms, 0);
}

TEST(Runtime, RunsInSeveralThreads) {
  const Predictor predictor(MakeDirectory("threads", 3), {.batch = 2});
  const auto alone = predictor.Predict(Inputs());
  std::vector<std::vector<Prediction>> found(4);
  std::vector<std::thread> threads;
  for (auto& each : found) threads.emplace_back([&predictor, &each] { each = predictor.Predict(Inputs()); });
  for (auto& thread : threads) thread.join();
  for (const auto& each : found)
    for (size_t i = 0; i < alone.size(); ++i)
      EXPECT_EQ(each[i].windows[0].logits, alone[i].windows[0].logits);
}

// The message of what `work` throws.
template <typename Work>
std::string Refusal(const Work& work) {
  try {
    work();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "nothing was refused";
}

// Its weights are finite; a sum of two of them is not.
TEST(Runtime, SaysWhichInputHasNoAnswer) {
  const std::string directory = MakeDirectory("overflow", 2);
  auto file = models::ReadSafetensors(directory + "/model.safetensors");
  at::Tensor token = file.tensors.at("embedding.token")[17];  // "it"
  token.fill_(3e38);
  models::WriteSafetensors(directory + "/model.safetensors", file.tensors, file.metadata);
  const Predictor predictor(directory);
  EXPECT_THAT(predictor.Predict({{"a heron"}, {"fog"}}), SizeIs(2));
  EXPECT_THAT(Refusal([&] {
                predictor.Predict({{"a heron"}, {"fog"}, {"it waited"}});
              }),
              testing::AllOf(HasSubstr("overflow, input 3: the model says NaN or infinity"),
                             HasSubstr("beginning with the embedding's output")));
}

TEST(Runtime, Refuses) {
  const std::string directory = MakeDirectory("refuses", 2);
  EXPECT_THAT(Refusal([] { Predictor("/nowhere/at/all"); }), HasSubstr("/nowhere/at/all"));
  EXPECT_THAT(Refusal([] { Predictor(MakeDirectory("bare", 0)); }), HasSubstr("no task head"));
  EXPECT_THAT(Refusal([&] { Predictor(directory, {.batch = 0}); }), HasSubstr("batch"));
  EXPECT_THAT(Refusal([&] { Predictor(directory, {.threads = -1}); }), HasSubstr("threads"));
  EXPECT_THAT(Refusal([&] { Predictor(directory, {.max_length = 21}); }), HasSubstr("5 to 20"));
  EXPECT_THAT(Refusal([&] { Predictor(directory).MeasureLatency(1, 21); }), HasSubstr("1 to 20"));
  const Predictor spans(MakeDirectory("spans", 2, models::TaskHead::kTokens));
  EXPECT_THAT(Refusal([&] { spans.Predict({{"where"}}); }), HasSubstr("a question and a passage"));
  const Predictor one(MakeDirectory("one_segment", 2, models::TaskHead::kPooled, {}, "segments: 1"));
  EXPECT_THAT(one.Predict({{"where"}}), SizeIs(1));
  EXPECT_THAT(Refusal([&] { one.Predict({{"where", "fog"}}); }), HasSubstr("one segment"));
  WriteFileAtomically(directory + "/vocab.txt", std::string(kWords) + "unknown\n");
  EXPECT_THAT(Refusal([&] { Predictor{directory}; }), HasSubstr("at most 18"));
}

TEST(Runtime, RefusesNamesThatContradictEachOther) {
  const std::string directory = MakeDirectory("contradiction", 2), path = directory + "/config.json";
  std::string text = ReadFile(path);
  text.replace(text.find("\"label0\": 0"), 11, "\"label0\": 1");
  WriteFileAtomically(path, text);
  EXPECT_THAT(Refusal([&] { Predictor{directory}; }), HasSubstr("contradict each other"));
  EXPECT_THAT(Predictor(directory, {.assume_label_order = true}).labels(),
              testing::ElementsAre("label0", "label1"));
}

}  // namespace
}  // namespace thimble::runtime
