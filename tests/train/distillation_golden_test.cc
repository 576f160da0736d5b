// Fifty-two steps of distillation against torch: tests/golden/distillation.py.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "models/hub/safetensors.h"
#include "train/cohort.h"

namespace thimble::train {
namespace {

const char kGolden[] = THIMBLE_SOURCE_DIR "/tests/golden/distillation";

models::Model Load(const nlohmann::json& golden, const models::TensorFile& file, const std::string& who) {
  proto::Architecture architecture;
  ParseText(golden.at("architectures").at(who).get<std::string>(), who, &architecture);
  auto model = models::MakeModel(architecture, 3, who == "student" ? 32 : 0, Random(1));
  for (const auto& [name, tensor] : model.weights) tensor.copy_(file.tensors.at(who + "/" + name));
  return model;
}

data::Dataset Rows(const nlohmann::json& golden) {
  data::Dataset data;
  data.classes = 3;
  data.hash = "golden";
  for (const auto& row : golden.at("rows"))
    data.examples.push_back({.ids = row.at("ids").get<std::vector<int32_t>>(),
                             .segments = row.at("segments").get<std::vector<int32_t>>(),
                             .label = row.at("label").get<int>()});
  return data;
}

TEST(DistillationGoldenTest, StepsAsTorchDoes) {
  std::ifstream stream(std::string(kGolden) + ".json");
  const auto golden = nlohmann::json::parse(stream);
  const auto file = models::ReadSafetensors(std::string(kGolden) + ".safetensors");
  const auto teacher = Load(golden, file, "teacher");
  auto student = Load(golden, file, "student");
  const auto data = Rows(golden);
  Job job;
  job.what = "golden";
  ParseText(golden.at("recipe").get<std::string>(), "recipe", &job.recipe);
  job.deployment.set_threads(1);
  job.sources[0] = {.train = &data, .teacher = &teacher};
  job.members = {{.name = "student", .models = {&student}}};
  const auto result = Train(job)[0];
  ASSERT_EQ(result.failure, "");
  EXPECT_EQ(result.steps, golden.at("steps"));
  const auto losses = golden.at("epoch_losses").get<std::vector<double>>();
  ASSERT_EQ(result.epochs.size(), losses.size());
  double worst_loss = 0, worst_weight = 0;
  for (size_t e = 0; e < losses.size(); ++e) {
    EXPECT_NEAR(result.epochs[e].train_loss, losses[e], 1e-5 * losses[e]) << "epoch " << e;
    worst_loss = std::max(worst_loss, std::abs(result.epochs[e].train_loss / losses[e] - 1));
  }
  for (const auto& [name, tensor] : student.weights) {
    const at::Tensor wanted = file.tensors.at("after/" + name), before = file.tensors.at("student/" + name);
    const double largest = wanted.abs().max().item<double>();
    const double difference = (tensor - wanted).abs().max().item<double>() / largest;
    EXPECT_LT(difference, 1e-4) << name;
    worst_weight = std::max(worst_weight, difference);
    EXPECT_GT((wanted - before).abs().max().item<double>(), 1e-3 * largest) << name << " did not move";
  }
  std::printf("largest differences: loss %.1e of it, weights %.1e of a tensor's largest\n", worst_loss,
              worst_weight);
}

}  // namespace
}  // namespace thimble::train
