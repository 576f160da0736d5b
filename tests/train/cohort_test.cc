#include "train/cohort.h"
#include "models/encoder/resolve.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "optim/optimizer.h"
#include "tests/train/toy.h"
#include "train/batch.h"

namespace thimble::train {
namespace {

using ::testing::HasSubstr;

Job ToyJob(const data::Dataset& data, const proto::Recipe& recipe) {
  Job job;
  job.what = "toy";
  job.recipe = recipe;
  job.deployment.set_threads(2);
  job.sources[0].train = &data;
  return job;
}

TEST(CohortTest, FineTuningLearnsATask) {
  const auto data = ToyData(240, 1), dev = ToyData(100, 2);
  const auto task = ToyTask();
  auto model = ToyModel(ToyArchitecture(), 3);
  Job job = ToyJob(data, ToyRecipe(kLabels, 12));
  job.sources[0].validate = &dev;
  job.sources[0].task = &task;
  job.members = {{.name = "only", .models = {&model}}};
  const auto results = Train(job);
  ASSERT_EQ(results[0].epochs.size(), 12u);
  EXPECT_EQ(results[0].steps, 12 * 30);
  EXPECT_EQ(results[0].failure, "");
  EXPECT_GT(results[0].epochs.front().train_loss, 0.6);
  EXPECT_LT(results[0].epochs.back().train_loss, 0.15);
  ASSERT_EQ(results[0].epochs.back().validations[0].metrics.size(), 2u);
  EXPECT_LT(results[0].epochs.front().validations[0].metrics[0].value, 0.8);
  EXPECT_GT(results[0].epochs.back().validations[0].metrics[0].value, 0.9);
  for (const auto& [name, tensor] : model.weights) {
    EXPECT_FALSE(tensor.requires_grad()) << name;
    EXPECT_FALSE(tensor.grad().defined()) << name;
  }
}

// Whatever moves the weights, the loop gives it what it needs: second passes, averages, groups, rates by
// depth.
class EveryRuleTest : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryRuleTest, LearnsTheTask) {
  const auto data = ToyData(240, 1), dev = ToyData(100, 2);
  const auto task = ToyTask();
  auto model = ToyModel(ToyArchitecture(), 3);
  Job job = ToyJob(data, ToyRecipe(kLabels, 12, "schedule { linear { warmup_fraction: 0.1 } }", GetParam()));
  job.sources[0].validate = &dev;
  job.sources[0].task = &task;
  job.members = {{.name = "only", .models = {&model}}};
  const auto results = Train(job);
  EXPECT_EQ(results[0].failure, "");
  EXPECT_LT(results[0].epochs.back().train_loss, 0.4);
  EXPECT_GT(results[0].epochs.back().validations[0].metrics[0].value, 0.85);
}

// Not plain SGD, which learns nothing here in twelve epochs at any rate tried; optim's golden runs cover it.
INSTANTIATE_TEST_SUITE_P(Rules, EveryRuleTest,
                         ::testing::Values("adam { learning_rate: 3e-3 }",
                                           "adafactor { learning_rate: 0.05 }",
                                           "lamb { learning_rate: 0.02 }", "came { learning_rate: 3e-4 }",
                                           "adahessian { learning_rate: 0.15 }",
                                           "adamw { learning_rate: 3e-3 } sam { rho: 0.02 }",
                                           "adamw { learning_rate: 3e-3 } average { decay: 0.98 }",
                                           "adamw { learning_rate: 5e-3 } layer_decay: 0.8 clip_value: 0.5 "
                                           "group { pattern: 'head.*' rate_factor: 2 }"));

TEST(CohortTest, ARuleThatNeedsFloat32IsRefusedWithBfloat16) {
  const auto data = ToyData(8, 1);
  auto model = ToyModel(ToyArchitecture(), 3);
  int refused = 0;
  for (const auto& entry : optim::Optimizers()) {
    Job job = ToyJob(data, ToyRecipe(kLabels, 1, "", entry.name + " { learning_rate: 1e-3 }"));
    job.members = {{.name = "only", .models = {&model}}};
    Check(job);
    job.recipe.set_precision(proto::BFLOAT16);
    if (entry.needs_float32.empty()) {
      Check(job);
      continue;
    }
    ++refused;
    try {
      Check(job);
      ADD_FAILURE() << entry.name << " was taken";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(),
                  testing::HasSubstr("recipe.precision: " + entry.name + " " + entry.needs_float32));
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(CohortTest, DistillationBringsTheStudentNearItsTeacher) {
  const auto data = ToyData(160, 1), dev = ToyData(60, 2);
  const auto teacher = ToyTeacher(4);
  auto student = ToyModel(ToyArchitecture(24, 2, "1/2"), 5, 32);
  Job job = ToyJob(data, ToyRecipe("loss { hidden_states {} } loss { attention_scores {} }", 6));
  job.sources[0].validate = &dev;
  job.sources[0].teacher = &teacher;
  job.members = {{.name = "only", .models = {&student}}};
  const auto results = Train(job);
  EXPECT_LT(results[0].epochs.back().train_loss, 0.5 * results[0].epochs.front().train_loss);
  EXPECT_LT(results[0].epochs.back().validations[0].loss,
            0.7 * results[0].epochs.front().validations[0].loss);
}

// One member's weights and epoch losses after training beside `company` others.
struct Outcome {
  std::vector<std::string> bytes;
  std::vector<double> losses;
  bool operator==(const Outcome&) const = default;
};

Outcome TrainInCompany(int company, int position, int members_threads, proto::Precision precision) {
  const auto data = ToyData(60, 1), dev = ToyData(20, 2);
  const auto teacher = ToyTeacher(4);
  auto recipe = ToyRecipe(kDistillation, 2, "dropout: 0.1", "came { learning_rate: 3e-3 }");
  recipe.set_precision(precision);
  Job job = ToyJob(data, recipe);
  job.sources[0].validate = &dev;
  job.sources[0].teacher = &teacher;
  job.members_threads = members_threads;
  std::vector<models::Model> models;
  models.reserve(company + 1);
  for (int i = 0; i <= company; ++i) {
    const bool watched = i == position;
    models.push_back(
        ToyModel(ToyArchitecture(24, watched ? 1 : 1 + i % 3, "1/2"), watched ? 9 : 100 + i, 32));
    job.members.push_back(
        {.name = "m" + std::to_string(i), .models = {&models[i]}, .seed = watched ? 5u : 1000u + i});
  }
  const auto results = Train(job);
  Outcome outcome{Bytes(models[position]), {}};
  for (const auto& epoch : results[position].epochs) {
    outcome.losses.push_back(epoch.train_loss);
    outcome.losses.push_back(epoch.validations[0].loss);
  }
  return outcome;
}

TEST(CohortTest, AMembersResultDoesNotDependOnItsCompany) {
  for (const auto precision : {proto::FLOAT32, proto::BFLOAT16}) {
    for (const int members_threads : {1, 2}) {
      const auto alone = TrainInCompany(0, 0, members_threads, precision);
      EXPECT_TRUE(alone == TrainInCompany(2, 1, members_threads, precision)) << members_threads;
      EXPECT_TRUE(alone == TrainInCompany(7, 6, members_threads, precision)) << members_threads;
    }
  }
}

// The first is there for the recipe's two epochs, the second joins at the second epoch and stays for three,
// the third leaves after one.
struct Joined {
  std::vector<std::vector<std::string>> bytes;
  std::vector<MemberResult> results;
};

Joined TrainJoining(const std::vector<int>& which, const std::string& checkpoint, size_t kill_after) {
  const auto data = ToyData(44, 1), dev = ToyData(20, 2);
  const auto teacher = ToyTeacher(4);
  Job job =
      ToyJob(data, ToyRecipe(kDistillation, 2, "dropout: 0.1 schedule { linear { warmup_fraction: 0.1 } }"));
  job.sources[0].validate = &dev;
  job.sources[0].teacher = &teacher;
  job.checkpoint = checkpoint;
  job.deployment.set_checkpoint_seconds(0);
  std::vector<models::Model> models;
  for (const int i : which) models.push_back(ToyModel(ToyArchitecture(24, 1 + i, "1/2"), 10 + i, 32));
  for (size_t k = 0; k < which.size(); ++k)
    job.members.push_back({.name = std::to_string(which[k]), .models = {&models[k]}, .seed = 5u + which[k]});
  for (size_t k = 0; k < which.size(); ++k)
    if (which[k] == 1) {
      job.members[k].first_epoch = 1;
      job.members[k].epochs = 3;
    }
  job.prune = [&](const std::vector<MemberResult>& members, const std::vector<size_t>& going_on) {
    std::vector<size_t> leaving;
    for (const size_t k : going_on) {
      if (which[k] == 1 && members[k].epochs.size() == kill_after) throw std::runtime_error("killed");
      if (which[k] == 2 && members[k].epochs.size() == 1) leaving.push_back(k);
    }
    return leaving;
  };
  Joined joined{.bytes = {}, .results = Train(job)};
  for (const auto& model : models) joined.bytes.push_back(Bytes(model));
  return joined;
}

TEST(CohortTest, MembersJoinAndLeaveAtEpochBorders) {
  const auto all = TrainJoining({0, 1, 2}, "", 0);
  const size_t epochs[] = {2, 3, 1};
  for (const int i : {0, 1, 2}) {
    SCOPED_TRACE(i);
    EXPECT_EQ(all.results[i].epochs.size(), epochs[i]);
    EXPECT_EQ(all.results[i].steps, 6 * static_cast<int64_t>(epochs[i]));
    EXPECT_EQ(all.results[i].pruned, i == 2);
    const auto alone = TrainJoining({i}, "", 0);
    EXPECT_EQ(alone.bytes[0], all.bytes[i]);
    EXPECT_EQ(alone.results[0].epochs.back().validations[0].loss,
              all.results[i].epochs.back().validations[0].loss);
  }
  // Killed when the second has learnt for one epoch: the third has left by then.
  const std::string checkpoint = ::testing::TempDir() + "/thimble_joining_" + std::to_string(::getpid());
  EXPECT_THROW(TrainJoining({0, 1, 2}, checkpoint, 1), std::runtime_error);
  const auto resumed = TrainJoining({0, 1, 2}, checkpoint, 0);
  EXPECT_EQ(resumed.bytes, all.bytes);
  EXPECT_TRUE(resumed.results[2].pruned);
  std::filesystem::remove(checkpoint);
}

// Four members, of which the last fails at its first step, scored by their answers too.
struct Ranked {
  std::vector<MemberResult> results;
  std::vector<std::vector<std::string>> bytes;
};

using Prune =
    std::function<std::vector<size_t>(const std::vector<MemberResult>&, const std::vector<size_t>&)>;

Ranked TrainRanked(const Prune& prune, const std::string& checkpoint = "") {
  const auto data = ToyData(44, 1), dev = ToyData(20, 2);
  const auto task = ToyTask();
  const auto teacher = ToyTeacher(4);
  const auto answers = Logits(teacher, dev);
  Job job = ToyJob(data, ToyRecipe(kDistillation, 3, "dropout: 0.1"));
  job.sources[0].validate = &dev;
  job.sources[0].task = &task;
  job.sources[0].teacher = &teacher;
  job.sources[0].validate_logits = &answers;
  job.prune = prune;
  job.checkpoint = checkpoint;
  std::vector<models::Model> models;
  for (int i = 0; i < 4; ++i) models.push_back(ToyModel(ToyArchitecture(24, 1 + i % 2, "1/2"), 10 + i, 32));
  models[3].weights.at("layer.0.ffn.0.down.bias").fill_(std::nan(""));
  for (size_t i = 0; i < 4; ++i)
    job.members.push_back({.name = std::to_string(i), .models = {&models[i]}, .seed = i});
  Ranked ranked{.results = Train(job), .bytes = {}};
  for (const auto& model : models) ranked.bytes.push_back(Bytes(model));
  EXPECT_NEAR(
      ranked.results[0].epochs.back().validations[0].divergence->mean,
      PairedDifference(Divergences(answers, Logits(models[0], dev), teacher), std::vector<double>(20, 0))
          .mean,
      1e-6);
  return ranked;
}

double DivergenceAfter(const MemberResult& result, size_t epochs) {
  return result.epochs.at(epochs - 1).validations[0].divergence->mean;
}

TEST(CohortTest, WhoLeavesIsToldByWhatAllHave) {
  const auto all = TrainRanked({});
  const auto farther = [&](size_t epochs, size_t a, size_t b) {
    return DivergenceAfter(all.results[a], epochs) > DivergenceAfter(all.results[b], epochs) ? a : b;
  };
  const size_t first = farther(1, farther(1, 0, 1), 2);
  std::vector<size_t> others = {0, 1, 2};
  std::erase(others, first);
  const size_t second = farther(2, others[0], others[1]);
  std::vector<std::vector<size_t>> asked;
  size_t kill_at = 0;
  const auto worst_leaves = [&](const std::vector<MemberResult>& members,
                                const std::vector<size_t>& going_on) {
    EXPECT_NE(members[3].failure, "");
    if (members[going_on[0]].epochs.size() == kill_at) throw std::runtime_error("killed");
    asked.push_back(going_on);
    const auto worst = std::max_element(going_on.begin(), going_on.end(), [&](size_t a, size_t b) {
      return DivergenceAfter(members[a], members[a].epochs.size()) <
             DivergenceAfter(members[b], members[b].epochs.size());
    });
    return std::vector<size_t>{*worst};
  };
  const auto ranked = TrainRanked(worst_leaves);
  EXPECT_THAT(asked, testing::ElementsAre(testing::ElementsAre(0, 1, 2), testing::ElementsAreArray(others)));
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(ranked.results[i].epochs.size(), i == first ? 1u : i == second ? 2u : 3u) << i;
    EXPECT_EQ(ranked.results[i].pruned, i == first || i == second) << i;
    EXPECT_EQ(DivergenceAfter(ranked.results[i], 1), DivergenceAfter(all.results[i], 1)) << i;
  }
  // Killed after the second epoch, before it is saved: the file has the first epoch's scores, and who left
  // then.
  const std::string checkpoint = ::testing::TempDir() + "/thimble_ranked_" + std::to_string(::getpid());
  kill_at = 2;
  EXPECT_THROW(TrainRanked(worst_leaves, checkpoint), std::runtime_error);
  kill_at = 0;
  asked.clear();
  const auto resumed = TrainRanked(worst_leaves, checkpoint);
  EXPECT_THAT(asked, testing::ElementsAre(testing::ElementsAreArray(others)));
  EXPECT_EQ(resumed.bytes, ranked.bytes);
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(resumed.results[i].epochs.size(), ranked.results[i].epochs.size());
    EXPECT_EQ(DivergenceAfter(resumed.results[i], 1), DivergenceAfter(ranked.results[i], 1)) << i;
    EXPECT_EQ(resumed.results[i].epochs[0].validations[0].divergence->standard_error,
              ranked.results[i].epochs[0].validations[0].divergence->standard_error);
    EXPECT_TRUE(resumed.results[i].epochs[0].validations[0].logits.empty());
  }
  std::filesystem::remove(checkpoint);
}

// The shallow member looks at the teacher's last layer alone, the deep one at both; in either order, with and
// without the teacher's outputs in a file.
TEST(CohortTest, MembersOfSeveralDepthsLearnAsAlone) {
  const auto data = ToyData(44, 1);
  const auto teacher = ToyTeacher(4);
  const auto recipe = ToyRecipe(kDistillation, 2, "dropout: 0.1");
  const std::string directory = ::testing::TempDir() + "/thimble_depths_" + std::to_string(::getpid());
  const auto cache = TeacherCache::Open(recipe, teacher, teacher.shape, data, 2, directory);
  ASSERT_NE(cache, nullptr);
  const auto train = [&](const std::vector<int>& depths, const TeacherCache* with) {
    Job job = ToyJob(data, recipe);
    job.sources[0].teacher = &teacher;
    job.sources[0].teacher_cache = with;
    std::vector<models::Model> models;
    for (const int depth : depths) {
      auto architecture = ToyArchitecture(24, 1, "1/2");
      if (depth == 1) architecture.mutable_layer()->RemoveLast();
      models.push_back(ToyModel(architecture, 10 + depth, 32));
    }
    for (size_t k = 0; k < depths.size(); ++k)
      job.members.push_back({.name = std::to_string(depths[k]), .models = {&models[k]}, .seed = 5});
    Train(job);
    std::vector<std::vector<std::string>> bytes;
    for (const auto& model : models) bytes.push_back(Bytes(model));
    return bytes;
  };
  for (const TeacherCache* with :
       {static_cast<const TeacherCache*>(nullptr), static_cast<const TeacherCache*>(cache.get())}) {
    const auto one = train({1}, with)[0], two = train({2}, with)[0];
    EXPECT_THAT(train({1, 2}, with), testing::ElementsAre(one, two));
    EXPECT_THAT(train({2, 1}, with), testing::ElementsAre(two, one));
  }
  std::filesystem::remove_all(directory);
}

// Batches of training and of scoring are all 32 long, so that their mean is that over the whole set in one
// batch.
TEST(CohortTest, PaddingThatCountsFillsEveryBatch) {
  const auto data = ToyData(48, 1);
  const auto teacher = ToyTeacher(4);
  const char losses[] =
      "loss { attention_scores { count_padding: true } } loss { hidden_states { count_padding: true } }";
  auto student = ToyModel(ToyArchitecture(), 5, 32);
  Job job = ToyJob(data, ToyRecipe(losses, 1, "", "adamw { learning_rate: 1e-12 }"));
  EXPECT_EQ(PaddedLength(job.recipe), 32);
  EXPECT_EQ(PaddedLength(ToyRecipe(kDistillation, 1)), 0);
  const distill::Objective objective(job.recipe.objective(), student.shape, &teacher, true);
  const auto loss = [&](int batch, int length) {
    return Evaluate(
               student, data, nullptr,
               {.teacher = &teacher, .objective = &objective, .batch_size = batch, .padded_length = length})
        .loss;
  };
  const double whole = loss(48, 32);
  EXPECT_GT(std::abs(loss(48, 0) / whole - 1), 1e-3);
  job.sources[0].validate = &data;
  job.sources[0].teacher = &teacher;
  job.members = {{.name = "only", .models = {&student}}};
  const auto epoch = Train(job)[0].epochs[0];
  EXPECT_NEAR(epoch.train_loss / whole, 1, 1e-5);
  EXPECT_NEAR(epoch.validations[0].loss / whole, 1, 1e-5);

  auto narrow = ToyArchitecture();
  narrow.set_positions(20);
  auto short_of_positions = ToyModel(narrow, 5, 32);
  job.members = {{.name = "narrow", .models = {&short_of_positions}}};
  EXPECT_THAT([&] { Train(job); },
              testing::ThrowsMessage<Error>(testing::AllOf(HasSubstr("narrow"), HasSubstr("at most 20"))));
}

TEST(CohortTest, RecomputedLayersTrainToTheSameBits) {
  const auto data = ToyData(60, 1);
  const auto teacher = ToyTeacher(4);
  const auto train = [&](bool recompute) {
    auto model = ToyModel(ToyArchitecture(24, 2, "1/2"), 9, 32);
    Job job = ToyJob(data, ToyRecipe(kDistillation, 2, "dropout: 0.1", "came { learning_rate: 3e-3 }"));
    job.deployment.set_recompute(recompute);
    job.sources[0].teacher = &teacher;
    job.members = {{.name = "only", .models = {&model}}};
    Train(job);
    return Bytes(model);
  };
  EXPECT_EQ(train(false), train(true));
}

// Whether epochs are scored is no matter of the run's result, nor of its checkpoint.
TEST(CohortTest, ScoresEpochsWhereSomebodyAsks) {
  const auto data = ToyData(60, 1), dev = ToyData(40, 2);
  const auto task = ToyTask();
  const auto train = [&](const std::string& more, bool score_epochs, bool prune = false,
                         const std::string& checkpoint = "", int epochs = 2) {
    auto model = ToyModel(ToyArchitecture(), 3);
    Job job = ToyJob(data, ToyRecipe(kLabels, epochs, more));
    job.sources[0].validate = &dev;
    job.sources[0].task = &task;
    job.members = {{.name = "only", .models = {&model}}};
    job.score_epochs = score_epochs;
    job.checkpoint = checkpoint;
    if (prune)
      job.prune = [](const std::vector<MemberResult>&, const std::vector<size_t>&) {
        return std::vector<size_t>();
      };
    const auto result = Train(job)[0];
    return std::pair(result, Bytes(model));
  };
  const auto scored = [](const MemberResult& result) {
    return !result.epochs.back().validations[0].metrics.empty();
  };
  const auto [with, bytes] = train("", true);
  const auto [without, same_bytes] = train("", false);
  EXPECT_TRUE(scored(with));
  EXPECT_FALSE(scored(without));
  EXPECT_EQ(bytes, same_bytes);
  EXPECT_TRUE(scored(train("keep: BEST", false).first));
  EXPECT_TRUE(scored(train("", false, true).first));
  const std::string checkpoint = testing::TempDir() + "/scores_epochs.checkpoint";
  std::filesystem::remove(checkpoint);
  train("", true, false, checkpoint);
  EXPECT_EQ(train("", false, false, checkpoint).second, bytes) << "goes on from the other's";
  std::filesystem::remove(checkpoint);
}

TEST(CohortTest, KeepsTheBestEpoch) {
  const auto data = ToyData(120, 1), dev = ToyData(100, 2);
  const auto task = ToyTask();
  const auto train = [&](const std::string& more, int epochs) {
    auto model = ToyModel(ToyArchitecture(), 3);
    Job job = ToyJob(data, ToyRecipe(kLabels, epochs, more + " schedule { constant { warmup_fraction: 0 } }",
                                     "adamw { learning_rate: 0.01 }"));
    job.sources[0].validate = &dev;
    job.sources[0].task = &task;
    job.members = {{.name = "only", .models = {&model}}};
    const auto result = Train(job)[0];
    return std::pair(result, Bytes(model));
  };
  const auto [last, last_bytes] = train("", 8);
  const auto [best, best_bytes] = train("keep: BEST", 8);
  EXPECT_EQ(last.best_epoch, 0);
  std::vector<double> values;
  for (const auto& epoch : best.epochs) values.push_back(epoch.validations[0].metrics[0].value);
  const auto top = std::max_element(values.begin(), values.end());
  EXPECT_EQ(best.best_epoch, top - values.begin() + 1);
  ASSERT_LT(best.best_epoch, 8) << "the test needs a run whose last epoch is not its best";
  EXPECT_NE(best_bytes, last_bytes);
  EXPECT_EQ(best_bytes, train("", best.best_epoch).second);  // the rate is constant: the same run, cut short
  Job job = ToyJob(data, ToyRecipe(kLabels, 1, "keep: BEST"));
  auto model = ToyModel(ToyArchitecture(), 3);
  job.members = {{.name = "only", .models = {&model}}};
  EXPECT_THROW(Train(job), Error);
}

TEST(CohortTest, OwnProjectionsAreTrainedEachForItself) {
  const auto data = ToyData(60, 1);
  const auto teacher = ToyTeacher(4);
  auto model = ToyModel(ToyArchitecture(24), 9, 32);
  Job job = ToyJob(data, ToyRecipe("loss { hidden_states { own_projections: true } }", 2));
  job.sources[0].teacher = &teacher;
  job.members = {{.name = "only", .models = {&model}}};
  const auto results = Train(job);
  EXPECT_LT(results[0].epochs.back().train_loss, results[0].epochs.front().train_loss);
  const std::vector<std::string> names = {"fit_dense", "fit_dense.0", "fit_dense.1", "fit_dense.2"};
  for (const auto& a : names)
    for (const auto& b : names)
      EXPECT_EQ(at::equal(model.weights.at(a + ".weight"), model.weights.at(b + ".weight")), a == b)
          << a << " " << b;
}

TEST(CohortTest, SeedChangesDropoutOnly) {
  const auto data = ToyData(40, 1);
  const auto train = [&](uint64_t seed, const std::string& more) {
    auto model = ToyModel(ToyArchitecture(), 3);
    Job job = ToyJob(data, ToyRecipe(kLabels, 1, more));
    job.members = {{.name = "only", .models = {&model}, .seed = seed}};
    Train(job);
    return Bytes(model);
  };
  EXPECT_EQ(train(1, ""), train(2, ""));
  EXPECT_EQ(train(1, "dropout: 0.2"), train(1, "dropout: 0.2"));
  EXPECT_NE(train(1, "dropout: 0.2"), train(2, "dropout: 0.2"));
  EXPECT_NE(train(1, "seed: 1"), train(1, "seed: 2"));  // the recipe's seed: data order
}

TEST(CohortTest, ABrokenMemberStopsAloneAndItsCompanionIsUntouched) {
  const auto data = ToyData(40, 1), dev = ToyData(20, 2);
  auto alone = ToyModel(ToyArchitecture(), 3), beside = ToyModel(ToyArchitecture(), 3);
  auto broken = ToyModel(ToyArchitecture(), 4);
  broken.weights.at("head.weight")[0][0] = std::nan("");
  const auto before = Bytes(broken);
  Job job = ToyJob(data, ToyRecipe(kLabels, 2));
  job.sources[0].validate = &dev;
  job.members = {{.name = "alone", .models = {&alone}}};
  const auto expected = Train(job);
  job.members_threads = 1;
  job.members = {{.name = "broken", .models = {&broken}}, {.name = "beside", .models = {&beside}}};
  const auto results = Train(job);
  EXPECT_THAT(results[0].failure, HasSubstr("loss is nan at step 1"));
  EXPECT_EQ(results[0].steps, 0);
  EXPECT_TRUE(results[0].epochs.empty());
  EXPECT_EQ(Bytes(broken), before);
  EXPECT_EQ(results[1].failure, "");
  EXPECT_EQ(results[1].steps, 10);
  EXPECT_EQ(Bytes(beside), Bytes(alone));
  EXPECT_EQ(results[1].epochs[1].train_loss, expected[0].epochs[1].train_loss);
}

TEST(CohortTest, InfiniteGradientsStopTheMemberBeforeTheyReachItsWeights) {
  const auto data = ToyData(16, 1);
  auto model = ToyModel(ToyArchitecture(), 3);
  // The loss is finite; squares of the gradients are not.
  model.weights.at("head.weight").mul_(1e30);
  const auto before = Bytes(model);
  Job job = ToyJob(data, ToyRecipe(kLabels, 1, "clip_norm: 0"));
  job.members = {{.name = "only", .models = {&model}}};
  const auto results = Train(job);
  EXPECT_THAT(results[0].failure, HasSubstr("gradient norm"));
  EXPECT_EQ(results[0].steps, 0);
  EXPECT_EQ(Bytes(model), before);
}

TEST(CohortTest, WeightsOutsideTheViewAreLeftAlone) {
  const auto data = ToyData(40, 1);
  const auto teacher = ToyTeacher(4);
  auto supernet = ToyModel(ToyArchitecture(24, 3), 5, 32);
  const auto before = supernet.weights.Clone();
  const auto small = models::Resolve(ToyArchitecture(24, 2, "1/2"));
  Job job = ToyJob(data, ToyRecipe("loss { hidden_states {} }", 1, "", "came { learning_rate: 1e-3 }"));
  job.sources[0].teacher = &teacher;
  std::vector<int64_t> steps;
  job.members = {{.name = "supernet", .models = {&supernet}, .view = [&](int64_t step) {
                    steps.push_back(step);
                    return small;
                  }}};
  Train(job);
  EXPECT_EQ(steps, (std::vector<int64_t>{0, 1, 2, 3, 4}));
  for (const auto& [name, tensor] : supernet.weights) {
    // The third stack is not in the view; pooler and head are not in the objective.
    const bool unused = name.find("ffn.2.") != std::string::npos || name.rfind("pooler", 0) == 0 ||
                        name.rfind("head", 0) == 0;
    EXPECT_EQ(at::equal(tensor, before.at(name)), unused) << name;
  }
}

TEST(CohortTest, Refusals) {
  const auto data = ToyData(16, 1);
  auto model = ToyModel(ToyArchitecture(), 3);
  const auto message = [&](const data::Dataset& rows, const proto::Recipe& recipe) -> std::string {
    Job job = ToyJob(rows, recipe);
    job.members = {{.name = "only", .models = {&model}}};
    try {
      Train(job);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(data, ToyRecipe(kLabels, 1)), "");
  EXPECT_THAT(message(data::Dataset{.classes = 2}, ToyRecipe(kLabels, 1)), HasSubstr("no rows"));
  auto foreign = data;
  foreign.examples[3].ids[1] = 50;
  EXPECT_THAT(message(foreign, ToyRecipe(kLabels, 1)), HasSubstr("token id"));
  foreign = data;
  foreign.examples[3].label = 2;
  EXPECT_THAT(message(foreign, ToyRecipe(kLabels, 1)), HasSubstr("label"));
  foreign = data;
  foreign.examples[3].ids.resize(33, 9);
  foreign.examples[3].segments.resize(33, 0);
  EXPECT_THAT(message(foreign, ToyRecipe(kLabels, 1)), HasSubstr("position"));
  EXPECT_THAT(message(data, ToyRecipe("", 1)), HasSubstr("at least one loss"));
}

TEST(CohortTest, ThreadSettingsAreTheCallersAgainAfterwards) {
  SetTorchThreads(1);
  const auto data = ToyData(16, 1);
  auto model = ToyModel(ToyArchitecture(), 3);
  Job job = ToyJob(data, ToyRecipe(kLabels, 1));
  job.members = {{.name = "only", .models = {&model}}};
  Train(job);
  EXPECT_EQ(at::get_num_threads(), 1);
}

TEST(WorkersTest, EachWorkerHasItsThreadsWhateverOthersSet) {
  Workers workers(2, 1);
  SetTorchThreads(3);
  std::vector<int> seen(8);
  workers.Run(8, [&](size_t i) { seen[i] = at::get_num_threads(); });
  EXPECT_THAT(seen, ::testing::Each(1));
  SetTorchThreads(1);
}

TEST(WorkersTest, AnExceptionIsRethrownAndTheWorkersGoOn) {
  Workers workers(2, 1);
  EXPECT_THROW(workers.Run(5,
                           [](size_t i) {
                             if (i == 2) throw Error("two");
                           }),
               Error);
  std::vector<int> done(5);
  workers.Run(5, [&](size_t i) { done[i] = 1; });
  EXPECT_THAT(done, ::testing::Each(1));
  workers.Run(0, [](size_t) { FAIL(); });
}

TEST(PrecisionTest, AutoIsResolvedAndTheRestKept) {
  EXPECT_NE(ResolvePrecision(proto::AUTO), proto::AUTO);
  EXPECT_EQ(ResolvePrecision(proto::FLOAT32), proto::FLOAT32);
  EXPECT_EQ(ResolvePrecision(proto::BFLOAT16), proto::BFLOAT16);
}

TEST(PrecisionTest, AutocastEndsWithItsScope) {
  const auto a = at::randn({4, 4}), b = at::randn({4, 4});
  {
    const Autocast autocast(true);
    EXPECT_EQ(at::matmul(a, b).scalar_type(), at::kBFloat16);
  }
  EXPECT_EQ(at::matmul(a, b).scalar_type(), at::kFloat);
}

}  // namespace
}  // namespace thimble::train
