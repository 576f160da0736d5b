// In a program of its own: the flag that Ctrl-C sets stays set for the life of a process.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/error.h"
#include "base/parallel.h"
#include "tests/train/toy.h"
#include "train/cohort.h"

namespace thimble::train {
namespace {

TEST(InterruptTest, EveryInterruptedRunGoesOnWhereItStoppedAndEndsWithTheSameBytes) {
  const std::string path = ::testing::TempDir() + "/thimble_interrupt_" + std::to_string(::getpid());
  const auto data = ToyData(44, 1), dev = ToyData(20, 2);
  const auto teacher = ToyTeacher(4);
  int64_t signal_at = -1;
  std::vector<int64_t> steps;
  const auto train = [&](std::vector<std::string>* bytes) {
    auto model = ToyModel(ToyArchitecture(24, 2), 5, 32);
    Job job;
    job.what = "toy";
    job.recipe = ToyRecipe(kDistillation, 2, "dropout: 0.1", "came { learning_rate: 3e-3 }");
    job.deployment.set_threads(1);
    job.deployment.set_checkpoint_seconds(3600);
    job.sources[0].train = &data;
    job.sources[0].validate = &dev;
    job.sources[0].teacher = &teacher;
    job.checkpoint = path;
    job.members = {{.name = "only", .models = {&model}, .view = [&](int64_t step) {
                      steps.push_back(step);
                      if (step == signal_at) std::raise(SIGINT);
                      return model.shape;
                    }}};
    const auto results = Train(job);
    *bytes = Bytes(model);
    return results;
  };
  std::vector<std::string> whole, resumed;
  const auto expected = train(&whole);
  std::filesystem::remove(path);

  InstallInterruptHandler();
  steps.clear();
  signal_at = 3;
  std::vector<MemberResult> results;
  int interrupts = 0;
  for (; results.empty() && interrupts < 100;) {
    try {
      results = train(&resumed);
    } catch (const Interrupted&) {
      ++interrupts;
      ASSERT_TRUE(std::filesystem::exists(path));
    }
  }
  // Steps 0 to 3 in the first call; from then on one step a call, none twice.
  EXPECT_EQ(interrupts, 9);
  EXPECT_EQ(steps, (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_TRUE(resumed == whole);
  ASSERT_EQ(results.size(), 1u);
  ASSERT_EQ(results[0].epochs.size(), 2u);
  EXPECT_EQ(results[0].epochs[0].train_loss, expected[0].epochs[0].train_loss);
  EXPECT_EQ(results[0].epochs[1].validations[0].loss, expected[0].epochs[1].validations[0].loss);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace thimble::train
