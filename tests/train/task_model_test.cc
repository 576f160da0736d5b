#include "train/task_model.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "tests/models/fixtures.h"

namespace thimble::train {
namespace {

using ::testing::ElementsAre;

class TaskModelTest : public ::testing::Test {
 protected:
  TaskModelTest() : directory_(testing::TempDir() + "/task_model") {
    std::filesystem::create_directories(directory_);
  }
  ~TaskModelTest() override { std::filesystem::remove_all(directory_); }

  models::Model Save(const std::vector<std::string>& names,
                     models::TaskHead head = models::TaskHead::kPooled) {
    auto model = models::MakeModel(
        models::Architecture(std::string(models::kPlain) + models::LayerText(models::kGeluBlock)),
        static_cast<int>(names.size()), 0, Random(3), head);
    models::Shake(&model, 3);
    models::SavePretrained(model, names, directory_);
    return model;
  }
  at::Tensor Logits(const models::Model& model) const {
    return Forward(model, models::MakeBatch({4, 9})).logits;
  }

  const std::string directory_;
};

TEST_F(TaskModelTest, OutputsStandInTheTasksOrder) {
  const auto saved = Save({"NEUTRAL", "CONTRADICTION", "ENTAILMENT"});
  const auto loaded = LoadTaskModel(directory_, data::FindTask("mnli"));
  EXPECT_THAT(loaded.label_names, ElementsAre("entailment", "neutral", "contradiction"));
  EXPECT_TRUE(loaded.label_ids.empty());
  const auto before = Logits(saved), after = Logits(loaded.model);
  EXPECT_TRUE(at::equal(after.select(1, 0), before.select(1, 2)));
  EXPECT_TRUE(at::equal(after.select(1, 1), before.select(1, 0)));
  EXPECT_TRUE(at::equal(after.select(1, 2), before.select(1, 1)));
  EXPECT_TRUE(at::equal(Logits(LoadTaskModel(directory_, data::FindTask("mnli"), true).model), before));
}

TEST_F(TaskModelTest, WhatDoesNotFitIsRefused) {
  Save({"a", "b", "c"});
  EXPECT_THROW(LoadTaskModel(directory_, data::FindTask("mnli")), Error);
  EXPECT_THROW(LoadTaskModel(directory_, data::FindTask("mrpc"), true), Error);
}

TEST_F(TaskModelTest, NumbersHaveNoOrder) {
  const auto saved = Save({"similarity"});
  EXPECT_TRUE(at::equal(Logits(LoadTaskModel(directory_, data::FindTask("stsb")).model), Logits(saved)));
}

TEST(SettingsTest, TheModelsOwnCountsWhereTheTaskDoesNotSay) {
  auto task = data::FindTask("squad2");
  models::Pretrained model;
  EXPECT_EQ(WithSettings(task, model).spans, task.spans);
  task.null_threshold = 1.5;
  EXPECT_EQ(WithSettings(task, model).null_threshold, 1.5);
  const data::SpanOptions trained{.document_stride = 32, .max_query = 20, .n_best = 5, .max_answer = 9};
  task.spans = trained;
  model.settings = TrainedWith(task, 384, {.positions = 256});
  model.settings.null_threshold = -2;
  EXPECT_EQ(model.settings.max_length, 256);
  task.spans = {};
  EXPECT_EQ(WithSettings(task, model).spans, trained);
  EXPECT_EQ(WithSettings(task, model).null_threshold, -2);
  task.spans_given = true;
  EXPECT_EQ(WithSettings(task, model).spans, data::SpanOptions());
  EXPECT_FALSE(TrainedWith(data::FindTask("mnli"), 128, {.positions = 512}).reading.has_value());
}

}  // namespace
}  // namespace thimble::train
