// The C interface, fed with the predictor's own numbers, says what the predictor says.
#include "runtime/texts_c.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "runtime/prediction_json.h"
#include "tests/runtime/fixtures.h"

namespace thimble::runtime {
namespace {

using nlohmann::json;
using testing::HasSubstr;

struct Opened {
  explicit Opened(const json& request) : code(thimble_texts_open(request.dump().c_str(), &texts)) {}
  ~Opened() {
    if (code == 0) thimble_texts_free(texts);
  }
  thimble_texts* texts = nullptr;
  int code;
};

json Request(const std::string& directory, int outputs, bool tokens = false, int max_length = 0) {
  return {{"directory", directory},
          {"outputs", outputs},
          {"tokens", tokens},
          {"max_length", max_length},
          {"assume_label_order", false}};
}

json AsJson(const std::vector<Input>& inputs) {
  json list = json::array();
  for (const Input& input : inputs)
    list.push_back(input.second ? json{input.first, *input.second} : json{input.first});
  return list;
}

// Numbers differ by the rounding of float, in which the interface takes logits.
void ExpectNear(const json& got, const json& wanted, const std::string& at = "") {
  SCOPED_TRACE(at);
  ASSERT_EQ(got.type_name(), std::string(wanted.type_name()));
  if (wanted.is_number()) {
    EXPECT_NEAR(got.get<double>(), wanted.get<double>(), 1e-5);
  } else if (wanted.is_structured()) {
    ASSERT_EQ(got.size(), wanted.size());
    for (const auto& [key, value] : wanted.items())
      ExpectNear(wanted.is_object() ? got.at(key) : got[std::stoul(key)], value, at + "/" + key);
  } else {
    EXPECT_EQ(got, wanted);
  }
}

void ExpectSaysAsPredictor(const std::string& directory, int outputs, const std::vector<Input>& inputs,
                           const std::string& kind, int max_length = 0) {
  const Predictor predictor(directory, {.max_length = max_length});
  const auto predictions = predictor.Predict(inputs);
  const Opened opened(Request(directory, outputs, kind == "answers", max_length));
  ASSERT_EQ(opened.code, 0) << thimble_texts_error();
  const json about = json::parse(thimble_texts_about(opened.texts));
  EXPECT_EQ(about["kind"], kind);
  EXPECT_EQ(about["labels"], predictor.labels());
  EXPECT_EQ(about["unanswerable"], predictor.unanswerable());
  EXPECT_EQ(about["max_length"], predictor.max_length());

  thimble_rows* rows = nullptr;
  ASSERT_EQ(thimble_texts_read(opened.texts, AsJson(inputs).dump().c_str(), &rows), 0);
  std::vector<float> logits;
  json windows = json::array(), wanted = json::array();
  for (const Prediction& prediction : predictions) {
    wanted.push_back(
        PredictionJson({predictor.kind(), predictor.labels(), predictor.unanswerable()}, prediction));
    for (const Window& window : prediction.windows) {
      windows.push_back({window.ids, window.segments});
      logits.insert(logits.end(), window.logits.begin(), window.logits.end());
    }
  }
  EXPECT_EQ(json::parse(thimble_rows_windows(rows)), windows);
  ASSERT_EQ(thimble_rows_predict(opened.texts, rows, logits.data(), static_cast<int64_t>(logits.size())), 0)
      << thimble_texts_error();
  ExpectNear(json::parse(thimble_rows_predictions(rows)), wanted);
  thimble_rows_free(rows);
}

TEST(TextsC, SaysWhatThePredictorSays) {
  ExpectSaysAsPredictor(MakeDirectory("c_classes", 3), 3, Inputs(), "classification");
  ExpectSaysAsPredictor(MakeDirectory("c_cut", 3), 3, Inputs(), "classification", 7);
  ExpectSaysAsPredictor(MakeDirectory("c_number", 1), 1, Inputs(), "number");
  const std::string labels = MakeDirectory("c_labels", 3);
  SayMultiLabel(labels);
  ExpectSaysAsPredictor(labels, 3, Inputs(), "labels");
}

TEST(TextsC, AnswersQuestions) {
  const std::vector<Input> inputs = {{"where did it", "a heron stood in the water and waited for the fog"},
                                     {"where", "the fog"}};
  ExpectSaysAsPredictor(MakeDirectory("c_spans", 2, models::TaskHead::kTokens), 2, inputs, "answers", 12);
  ExpectSaysAsPredictor(MakeDirectory("c_spans", 2, models::TaskHead::kTokens, -1e6), 2, inputs, "answers",
                        12);
}

TEST(TextsC, RefusesWithCodeAndMessage) {
  const std::string directory = MakeDirectory("c_refuses", 2);
  const auto refusal = [](const json& request, int code) {
    const Opened opened(request);
    EXPECT_EQ(opened.code, code);
    return std::string(thimble_texts_error());
  };
  EXPECT_THAT(refusal(Request("/nowhere/at/all", 2), kBadRequest), HasSubstr("/nowhere/at/all"));
  EXPECT_THAT(refusal(Request(directory, 0), kBadRequest), HasSubstr("no task head"));
  EXPECT_THAT(refusal(Request(directory, 2, false, 21), kBadRequest), HasSubstr("5 to 20"));
  EXPECT_THAT(refusal(Request(directory, 3, true), kBadRequest), HasSubstr("2: start and end"));
  EXPECT_THAT(refusal({{"directory", directory}}, kBadRequest), HasSubstr("outputs"));

  const Opened opened(Request(directory, 2));
  ASSERT_EQ(opened.code, 0);
  thimble_rows* rows = nullptr;
  for (const char* inputs : {"", "[[]]", "[[\"a\", \"b\", \"c\"]]", "[[1]]", "[\"a\"]"})
    EXPECT_EQ(thimble_texts_read(opened.texts, inputs, &rows), kBadRequest) << inputs;
  ASSERT_EQ(thimble_texts_read(opened.texts, "[[\"fog\"], [\"a heron\"]]", &rows), 0);
  const float nan = std::numeric_limits<float>::quiet_NaN(), logits[] = {1, 2, 3, nan, 5};
  EXPECT_EQ(thimble_rows_predict(opened.texts, rows, logits, 3), kBadRequest);
  EXPECT_THAT(thimble_texts_error(), HasSubstr("too few"));
  EXPECT_EQ(thimble_rows_predict(opened.texts, rows, logits, 4), kFailed);
  EXPECT_THAT(thimble_texts_error(), HasSubstr("input 2: the model says NaN or infinity"));
  const float finite[] = {1, 2, 3, 4, 5};
  EXPECT_EQ(thimble_rows_predict(opened.texts, rows, finite, 5), kBadRequest);
  EXPECT_THAT(thimble_texts_error(), HasSubstr("too many"));
  EXPECT_EQ(thimble_rows_predict(opened.texts, rows, finite, 4), 0);
  EXPECT_EQ(thimble_rows_predict(opened.texts, rows, finite, 4), kBadRequest) << "once only";
  thimble_rows_free(rows);
}

}  // namespace
}  // namespace thimble::runtime
