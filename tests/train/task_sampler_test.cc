#include "train/task_sampler.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "tests/train/toy.h"

namespace thimble::train {
namespace {

using ::testing::ElementsAre;

proto::Batching Batches(int size) {
  proto::Batching batching;
  batching.set_size(size);
  return batching;
}

std::vector<int> RowsOf(const TaskSampler::Turn& turn) { return *turn.rows.rows; }

TEST(MixtureTest, OneSourceIsItsFeed) {
  const auto data = ToyData(37, 1);
  TaskSampler sampler({{&data, 3}}, 0.5, Batches(8), 11);
  BatchReader feed(data, Batches(8), 11);
  ASSERT_EQ(sampler.batches(), 5);
  int64_t rows = 0;
  for (int epoch = 0; epoch < 3; ++epoch)
    for (int64_t batch = 0; batch < 5; ++batch) {
      EXPECT_EQ(sampler.RowsBefore(epoch, batch), rows);
      EXPECT_EQ(RowsOf(sampler.At(epoch, batch)), *feed.At(epoch, batch).rows);
      rows += static_cast<int64_t>(feed.At(epoch, batch).rows->size());
    }
}

TEST(MixtureTest, ExponentOneReadsEveryRowOnceAnEpoch) {
  const auto large = ToyData(161, 1), small = ToyData(33, 2), single = ToyData(1, 3);
  TaskSampler sampler({{&large, 1}, {&small, 1}, {&single, 1}}, 1, Batches(16), 5);
  EXPECT_THAT(sampler.quotas(), ElementsAre(11, 3, 1));
  std::vector<std::vector<size_t>> orders;
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::map<size_t, std::multiset<int>> seen;
    orders.emplace_back();
    for (int64_t batch = 0; batch < sampler.batches(); ++batch) {
      const auto turn = sampler.At(epoch, batch);
      orders.back().push_back(turn.source);
      for (const int row : RowsOf(turn)) seen[turn.source].insert(row);
    }
    for (const auto& [source, rows] : seen) {
      const size_t all = source == 0 ? 161 : source == 1 ? 33 : 1;
      EXPECT_EQ(rows.size(), all);
      EXPECT_EQ(std::set<int>(rows.begin(), rows.end()).size(), all);
    }
  }
  EXPECT_NE(orders[0], orders[1]);
  EXPECT_FALSE(std::is_sorted(orders[0].begin(), orders[0].end()));
}

TEST(MixtureTest, WeightsAndExponentShareAnEpochOut) {
  const auto large = ToyData(160, 1), small = ToyData(32, 2);  // 10 and 2 batches
  const auto quotas = [&](double first, double second, double exponent) {
    return TaskSampler({{&large, first}, {&small, second}}, exponent, Batches(16), 5).quotas();
  };
  EXPECT_THAT(quotas(1, 1, 0), ElementsAre(6, 6));
  EXPECT_THAT(quotas(1, 3, 0), ElementsAre(3, 9));
  EXPECT_THAT(quotas(1, 1, 0.5), ElementsAre(8, 4));  // sqrt(10) : sqrt(2) = 8.29 : 3.71
  EXPECT_THAT(quotas(1, 5, 1), ElementsAre(6, 6));
  EXPECT_THAT(quotas(1, 1e-9, 1), ElementsAre(11, 1));  // nobody is left out
}

// A source that is read more than once an epoch goes through all its rows before it begins again, also from
// one epoch to the next, wherever the reading starts.
TEST(MixtureTest, PassesGoOn) {
  const auto large = ToyData(160, 1), small = ToyData(40, 2);  // 10 and 3 batches; 6 and 7 of 13 by turns
  const auto mixed = [&] { return TaskSampler({{&large, 1}, {&small, 1}}, 0, Batches(16), 5); };
  auto sampler = mixed();
  std::vector<std::vector<int>> batches;
  int64_t rows = 0;
  for (int epoch = 0; epoch < 4; ++epoch)
    for (int64_t batch = 0; batch < 13; ++batch) {
      ASSERT_EQ(sampler.RowsBefore(epoch, batch), rows);
      const auto turn = sampler.At(epoch, batch);
      rows += static_cast<int64_t>(turn.rows.rows->size());
      if (turn.source == 1) batches.push_back(RowsOf(turn));
      auto fresh = mixed();
      EXPECT_EQ(RowsOf(fresh.At(epoch, batch)), RowsOf(turn));
    }
  ASSERT_GE(batches.size(), 24u);
  for (size_t pass = 0; pass + 1 < batches.size() / 3; ++pass) {
    std::set<int> seen;
    for (size_t b = 0; b < 3; ++b) seen.insert(batches[3 * pass + b].begin(), batches[3 * pass + b].end());
    EXPECT_EQ(seen.size(), 40u);
  }
  EXPECT_NE(batches[0], batches[3]);
}

// Two tasks that want different things of the same rows: token 7, and token 9.
class MixedTrainingTest : public ::testing::Test {
 protected:
  MixedTrainingTest() {
    other_task_.name = "other";
    other_task_.labels = {"even", "odd", "none"};
    other_task_.metrics = {"accuracy"};
    for (auto* data : {&other_, &other_dev_}) {
      data->classes = 3;
      for (auto& example : data->examples) {
        example.label = static_cast<int>(&example - data->examples.data()) % 3;
        for (const int mark : {9, 11}) std::replace(example.ids.begin(), example.ids.end(), mark, mark + 1);
        if (example.label != 2) example.ids[1] = example.label == 0 ? 9 : 11;
      }
    }
    other_.hash = "other";
  }
  models::Model WithOtherHead(const models::Model& model) const {
    models::Model other = model;
    other.classes = 3;
    other.weights = {};
    for (const auto& [name, tensor] : model.weights)
      other.weights.Add(name, name == "head.weight" ? 0.02 * at::ones({3, tensor.size(1)})
                              : name == "head.bias" ? at::zeros({3})
                                                    : tensor);
    return other;
  }
  Job MakeJob(models::Model* first, models::Model* second, const std::string& more = "") const {
    Job job;
    job.what = "toy mix";
    job.recipe = ToyRecipe(kLabels, 12, more);
    job.deployment.set_threads(1);
    job.sources = {{.train = &data_, .validate = &dev_, .task = &task_},
                   {.train = &other_, .validate = &other_dev_, .task = &other_task_}};
    job.members = {{.name = "both", .models = {first, second}}};
    return job;
  }

  data::Dataset data_ = ToyData(240, 1), dev_ = ToyData(100, 2);
  data::Dataset other_ = ToyData(120, 3), other_dev_ = ToyData(100, 4);
  data::TaskEntry task_ = ToyTask(), other_task_;
};

TEST_F(MixedTrainingTest, OneEncoderLearnsBothTasks) {
  auto first = ToyModel(ToyArchitecture(), 3);
  auto second = WithOtherHead(first);
  Job job = MakeJob(&first, &second);
  job.recipe.set_epochs(18);
  const auto results = Train(job);
  ASSERT_EQ(results[0].failure, "");
  EXPECT_EQ(results[0].steps, 18 * (30 + 15));
  EXPECT_LT(results[0].epochs.front().validations[0].metrics[0].value, 0.8);
  EXPECT_LT(results[0].epochs.front().validations[1].metrics[0].value, 0.8);
  const auto& validations = results[0].epochs.back().validations;
  ASSERT_EQ(validations.size(), 2u);
  EXPECT_GT(validations[0].metrics[0].value, 0.85);
  EXPECT_GT(validations[1].metrics[0].value, 0.85);
  for (const auto& [name, tensor] : first.weights)
    EXPECT_EQ(tensor.is_same(second.weights.at(name)), name.compare(0, 5, "head.") != 0) << name;
}

TEST_F(MixedTrainingTest, AnInterruptedRunEndsInTheSameBytes) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("thimble_mixture_" + std::to_string(getpid()))).string();
  struct Stop {};
  const auto train = [&](int64_t kill, bool checkpoint) {
    auto first = ToyModel(ToyArchitecture(), 3);
    auto second = WithOtherHead(first);
    Job job = MakeJob(&first, &second, "accumulate: 4");
    job.recipe.set_epochs(3);
    job.deployment.set_checkpoint_seconds(0);
    if (checkpoint) job.checkpoint = path;
    job.members[0].view = [kill, shape = first.shape](int64_t batch) {
      if (batch == kill) throw Stop();
      return shape;
    };
    Train(job);
    auto bytes = Bytes(first);
    for (auto& of_other : Bytes(second)) bytes.push_back(std::move(of_other));
    return bytes;
  };
  const auto whole = train(-1, false);
  std::filesystem::remove(path);
  for (const int64_t kill : {5, 46, 61, 130}) EXPECT_THROW(train(kill, true), Stop);
  EXPECT_EQ(train(-1, true), whole);
  std::filesystem::remove(path);
}

// Two batches of 8 give the gradient of one of 16, for rules with one pass over a batch and with two.
TEST(AccumulateTest, IsALargerBatch) {
  const auto data = ToyData(240, 1);
  for (const char* optimizer :
       {"sgd { learning_rate: 0.1 }", "sgd { learning_rate: 0.1 } sam { rho: 0.05 }"}) {
    SCOPED_TRACE(optimizer);
    const auto train = [&](int size, int accumulate) {
      auto model = ToyModel(ToyArchitecture(), 3);
      Job job;
      job.what = "toy";
      job.recipe = ToyRecipe(kLabels, 2, "", optimizer);
      job.recipe.mutable_batching()->set_size(size);
      job.recipe.mutable_batching()->set_bucket_width(0);
      job.recipe.set_accumulate(accumulate);
      job.deployment.set_threads(1);
      job.sources[0].train = &data;
      job.members = {{.name = "only", .models = {&model}}};
      EXPECT_EQ(Train(job)[0].steps, 30);
      return model;
    };
    const auto whole = train(16, 1);
    const auto parts = train(8, 2);
    for (const auto& [name, tensor] : whole.weights)
      EXPECT_TRUE(at::allclose(tensor, parts.weights.at(name), 1e-4, 1e-5)) << name;
  }
}

// Batches of 8, 8 and 4 rows, each padded to its own longest, give the gradient of one of 20: rows, tokens
// and pairs of tokens weigh the same, whichever batch they are in.
TEST(AccumulateTest, WeighsWhatABatchHoldsAndNotBatches) {
  const auto data = ToyData(20, 1);
  const auto teacher = ToyTeacher(4);
  for (const char* losses :
       {kLabels, kDistillation, "loss { hidden_states {} } loss { attention_scores {} weight: 3 }",
        "loss { attention_distributions {} } loss { minilm_relations {} }"}) {
    for (const int bucket_width : {0, 8}) {
      SCOPED_TRACE(std::string(losses) + " " + std::to_string(bucket_width));
      const auto train = [&](int size, int accumulate) {
        auto model = ToyModel(ToyArchitecture(24, 1, "1/2"), 5, 32);
        Job job;
        job.what = "toy";
        job.recipe = ToyRecipe(losses, 2, "", "sgd { learning_rate: 0.1 }");
        job.recipe.mutable_batching()->set_size(size);
        job.recipe.mutable_batching()->set_bucket_width(bucket_width);
        job.recipe.set_accumulate(accumulate);
        job.deployment.set_threads(1);
        job.sources[0].train = &data;
        job.sources[0].teacher = &teacher;
        job.members = {{.name = "only", .models = {&model}}};
        EXPECT_EQ(Train(job)[0].steps, 2);
        return model;
      };
      const auto whole = train(32, 1);
      const auto parts = train(8, 3);
      for (const auto& [name, tensor] : whole.weights)
        EXPECT_TRUE(at::allclose(tensor, parts.weights.at(name), 1e-4, 1e-5)) << name;
    }
  }
}

}  // namespace
}  // namespace thimble::train
