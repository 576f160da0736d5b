#include "train/checkpoint.h"
#include "models/encoder/resolve.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "models/hub/safetensors.h"
#include "tests/train/toy.h"

namespace thimble::train {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

struct Killed {};

// A run of two members, one of them seen through changing views, with dropout, validation, and a checkpoint
// after every step.
class CheckpointTest : public ::testing::TestWithParam<std::string> {
 protected:
  CheckpointTest() { fs::remove(path_); }
  ~CheckpointTest() override { fs::remove(path_); }

  struct Run {
    std::vector<MemberResult> results;
    std::vector<std::vector<std::string>> bytes;
  };

  Job MakeJob(std::vector<models::Model>* models, const std::string& optimizer) {
    Job job;
    job.what = "toy";
    job.recipe =
        ToyRecipe(kDistillation, 3, optimizer.find("lamb") == 0 ? "dropout: 0.1 keep: BEST" : "dropout: 0.1",
                  optimizer);
    job.deployment.set_threads(2);
    job.deployment.set_checkpoint_seconds(0);
    job.sources[0].train = &data_;
    job.sources[0].validate = &dev_;
    job.sources[0].task = &task_;
    job.sources[0].teacher = &teacher_;
    job.members_threads = 2;
    job.checkpoint = path_;
    models->clear();
    models->push_back(ToyModel(ToyArchitecture(24, 2), 5, 32));
    models->push_back(ToyModel(ToyArchitecture(24, 1, "1/2"), 6, 32));
    job.members = {{.name = "supernet", .models = {&models->at(0)}, .seed = 1},
                   {.name = "student/x", .models = {&models->at(1)}, .seed = 2}};
    job.members[0].view = [](int64_t step) { return models::Resolve(ToyArchitecture(24, 1 + step % 2)); };
    return job;
  }

  // Trains from the checkpoint, if there is one; killed before step `kill` when that is not negative.
  Run Start(int64_t kill, const std::string& optimizer) {
    std::vector<models::Model> models;
    Job job = MakeJob(&models, optimizer);
    const auto view = job.members[0].view;
    job.members[0].view = [=](int64_t step) {
      if (step == kill) throw Killed();
      return view(step);
    };
    Run run;
    run.results = Train(job);
    for (const auto& model : models) run.bytes.push_back(Bytes(model));
    return run;
  }

  std::string Message(const std::function<void(Job*)>& change) {
    std::vector<models::Model> models;
    Job job = MakeJob(&models, "adamw { learning_rate: 3e-3 }");
    change(&job);
    const auto before = Bytes(*job.members[0].models[0]);
    try {
      Train(job);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadRequest);
      EXPECT_EQ(Bytes(*job.members[0].models[0]), before);
      return error.what();
    }
    return "";
  }

  const std::string path_ = ::testing::TempDir() + "/thimble_checkpoint_" + std::to_string(::getpid());
  const data::Dataset data_ = ToyData(44, 1), dev_ = ToyData(20, 2);  // 6 steps an epoch
  const data::TaskEntry task_ = ToyTask();
  const models::Model teacher_ = ToyTeacher(4);
};

TEST_P(CheckpointTest, ARunKilledAndResumedGivesTheSameBytes) {
  const Run whole = Start(-1, GetParam());
  ASSERT_EQ(whole.results[0].steps, 18);
  fs::remove(path_);
  for (const int64_t kill : {0, 1, 5, 6, 7, 12, 17}) EXPECT_THROW(Start(kill, GetParam()), Killed) << kill;
  const Run resumed = Start(-1, GetParam());
  const Run again = Start(-1, GetParam());  // from the finished run's checkpoint
  for (const Run* run : {&resumed, &again}) {
    EXPECT_TRUE(run->bytes == whole.bytes);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(run->results[i].steps, whole.results[i].steps);
      EXPECT_EQ(run->results[i].best_epoch, whole.results[i].best_epoch);
      ASSERT_EQ(run->results[i].epochs.size(), 3u);
      for (size_t e = 0; e < 3; ++e) {
        const auto &a = run->results[i].epochs[e], &b = whole.results[i].epochs[e];
        EXPECT_EQ(a.train_loss, b.train_loss);
        EXPECT_EQ(a.validations[0].loss, b.validations[0].loss);
        EXPECT_EQ(a.validations[0].losses, b.validations[0].losses);
        EXPECT_EQ(a.validations[0].loss_names, b.validations[0].loss_names);
        EXPECT_EQ(a.validations[0].row_losses, b.validations[0].row_losses);
        EXPECT_EQ(a.validations[0].loss_standard_error, b.validations[0].loss_standard_error);
        EXPECT_EQ(a.validations[0].predicted, b.validations[0].predicted);
        ASSERT_EQ(a.validations[0].metrics.size(), 2u);
        EXPECT_EQ(a.validations[0].metrics[1].value, b.validations[0].metrics[1].value);
        EXPECT_EQ(a.validations[0].metrics[1].standard_error, b.validations[0].metrics[1].standard_error);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Optimizers, CheckpointTest,
                         ::testing::Values("adamw { learning_rate: 3e-3 }", "came { learning_rate: 3e-3 }",
                                           "adamw { learning_rate: 3e-3 } sam { keep: 0.5 refresh: 4 }",
                                           "lamb { learning_rate: 3e-3 } average { decay: 0.9 }",
                                           "adahessian { learning_rate: 3e-3 }"));

class ForeignCheckpointTest : public CheckpointTest {};

TEST_F(ForeignCheckpointTest, AnotherRunsCheckpointIsRefusedWithWhatDiffers) {
  EXPECT_THROW(Start(3, "adamw { learning_rate: 3e-3 }"), Killed);
  const auto other_data = ToyData(44, 9);
  const auto other_teacher = ToyTeacher(5);
  auto wider = ToyModel(ToyArchitecture(24, 2, "1/3"), 6, 32);
  const auto names = [&](const std::string& what) { return AllOf(HasSubstr(path_), HasSubstr(what)); };
  EXPECT_THAT(Message([](Job* job) { job->recipe.set_dropout(0.2); }), names("recipe differs"));
  EXPECT_THAT(Message([](Job* job) { job->recipe.mutable_optimizer()->mutable_adamw()->set_beta1(0.8); }),
              names("beta1"));
  EXPECT_THAT(Message([&](Job* job) { job->sources[0].train = &other_data; }),
              names("training data differs"));
  EXPECT_THAT(Message([&](Job* job) { job->sources[0].validate = nullptr; }),
              names("validation data differs"));
  EXPECT_THAT(Message([&](Job* job) { job->sources[0].teacher = &other_teacher; }), names("teacher differs"));
  EXPECT_THAT(Message([&](Job* job) { job->members[1].models = {&wider}; }), names("member 1 differs"));
  EXPECT_THAT(Message([&](Job* job) { job->members[1].name = "someone"; }), names("member 1 differs"));
  EXPECT_THAT(Message([&](Job* job) { job->members[1].seed = 77; }), names("member 1 differs"));
  EXPECT_THAT(Message([&](Job* job) { job->members.pop_back(); }), names("it has member 1"));
  EXPECT_EQ(Message([](Job* job) { job->deployment.set_checkpoint_seconds(100); }), "");
}

TEST_F(ForeignCheckpointTest, AStartInTheWordsOfAnEarlierVersionIsTheSame) {
  std::vector<models::Model> models;
  Job begun = MakeJob(&models, "adamw { learning_rate: 3e-3 }");
  begun.start.name = "text /a/b";
  begun.members[0].view = [](int64_t step) -> models::ResolvedArchitecture {
    if (step == 3) throw Killed();
    return models::Resolve(ToyArchitecture(24, 1));
  };
  EXPECT_THROW(Train(begun), Killed);
  EXPECT_THAT(Message([](Job* job) { job->start = {"text 77"}; }), HasSubstr("start differs"));
  EXPECT_THAT(Message([](Job* job) { job->start = {"text 77", "text /c/d"}; }), HasSubstr("start differs"));
  EXPECT_EQ(Message([](Job* job) { job->start = {"text 77", "text /a/b"}; }), "");
  EXPECT_EQ(Message([](Job* job) { job->start = {"text 77"}; }), "") << "is kept in the new words";
}

TEST_F(ForeignCheckpointTest, ADamagedOrForeignFileIsAnError) {
  EXPECT_THROW(Start(3, "adamw { learning_rate: 3e-3 }"), Killed);
  const std::string good = ReadFile(path_);
  for (const size_t size : {size_t{0}, size_t{7}, size_t{100}, good.size() / 2, good.size() - 1}) {
    WriteFileAtomically(path_, good.substr(0, size));
    EXPECT_THAT(Message([](Job*) {}), HasSubstr(path_)) << size;
  }
  models::Weights weights;
  weights.Add("a", at::ones({2}));
  models::WriteSafetensors(path_, weights);
  EXPECT_THAT(Message([](Job*) {}), HasSubstr("not a checkpoint"));
  models::WriteSafetensors(path_, weights, {{"thimble.checkpoint", "{\"version\": 4, \"identity\": 3}"}});
  EXPECT_THAT(Message([](Job*) {}), HasSubstr("cannot be read"));

  // The right record over a tensor that is missing, or has another shape.
  WriteFileAtomically(path_, good);
  const auto file = models::ReadSafetensors(path_);
  const auto without = [&](bool replace) {
    models::Weights tensors;
    for (const auto& [name, tensor] : file.tensors) {
      if (name != "1/weight/head.weight")
        tensors.Add(name, tensor);
      else if (replace)
        tensors.Add(name, at::ones({3}));
    }
    models::WriteSafetensors(path_, tensors, file.metadata);
  };
  without(false);
  EXPECT_THAT(Message([](Job*) {}), HasSubstr("lacks the tensor \"1/weight/head.weight\""));
  without(true);
  EXPECT_THAT(Message([](Job*) {}), HasSubstr("another shape"));
}

TEST_F(ForeignCheckpointTest, AStoppedMemberStaysStoppedAfterAResume) {
  const auto train = [&](int64_t kill) {
    std::vector<models::Model> models;
    Job job = MakeJob(&models, "adamw { learning_rate: 3e-3 }");
    models[1].weights.at("head.weight").fill_(std::nan(""));
    job.members[0].view = [=](int64_t step) -> models::ResolvedArchitecture {
      if (step == kill) throw Killed();
      return models::Resolve(ToyArchitecture(24, 1));
    };
    return Train(job);
  };
  EXPECT_THROW(train(8), Killed);
  const auto results = train(-1);
  EXPECT_THAT(results[1].failure, HasSubstr("nan at step 1"));
  EXPECT_EQ(results[1].steps, 0);
  EXPECT_EQ(results[0].steps, 18);
  EXPECT_EQ(results[0].epochs.size(), 3u);
}

}  // namespace
}  // namespace thimble::train
