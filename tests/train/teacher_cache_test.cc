#include "train/teacher_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "tests/train/toy.h"
#include "train/batch.h"

namespace thimble::train {
namespace {

namespace fs = std::filesystem;

class TeacherCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    SetTorchThreads(1);
    directory_ = (fs::temp_directory_path() / ("thimble_teacher_cache_" + std::to_string(getpid()))).string();
    fs::remove_all(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::unique_ptr<TeacherCache> Open(const proto::Recipe& recipe, int passes = 2) {
    return TeacherCache::Open(recipe, teacher_, student_.shape, data_, passes, directory_);
  }

  std::string directory_;
  const data::Dataset data_ = ToyData(40, 3);
  const models::Model teacher_ = ToyTeacher(1);
  const models::Model student_ = ToyModel(ToyArchitecture(), 2, 32);
  const proto::Recipe recipe_ = ToyRecipe(kDistillation, 2);
};

TEST_F(TeacherCacheTest, GivesWhatTheTeacherGives) {
  const auto cache = Open(recipe_);
  ASSERT_NE(cache, nullptr);
  const std::vector<int> rows = {7, 0, 39, 12, 12};
  const auto batch = MakeBatch(data_, rows);
  const at::NoGradGuard no_grad;
  const auto wanted = Forward(teacher_, batch, {.hidden_states = true, .attention_logits = true});
  const auto got = cache->Get(rows);
  ASSERT_EQ(got.hidden_states.size(), wanted.hidden_states.size());
  ASSERT_EQ(got.attention_logits.size(), wanted.attention_logits.size());
  const at::Tensor real = batch.mask.unsqueeze(-1), pairs = (real * batch.mask.unsqueeze(1)).unsqueeze(1);
  const auto near = [](const at::Tensor& a, const at::Tensor& b) {
    EXPECT_TRUE(at::allclose(a, b, 1e-3, 1e-5)) << (a - b).abs().max();
  };
  for (size_t i = 0; i < wanted.hidden_states.size(); ++i)
    near(got.hidden_states[i], wanted.hidden_states[i] * real);
  for (size_t i = 0; i < wanted.attention_logits.size(); ++i)
    near(got.attention_logits[i], wanted.attention_logits[i] * pairs);
  EXPECT_TRUE(at::allclose(got.logits, wanted.logits, 1e-6, 1e-6));
}

TEST_F(TeacherCacheTest, KeepsStatesOfMixers) {
  const auto cache = Open(ToyRecipe("loss { hidden_states { states: MIXER } } loss { soft_labels {} }", 2));
  ASSERT_NE(cache, nullptr);
  const std::vector<int> rows = {3, 31};
  const auto batch = MakeBatch(data_, rows);
  const at::NoGradGuard no_grad;
  const auto wanted = Forward(teacher_, batch, {.mixer_states = true});
  const auto got = cache->Get(rows);
  EXPECT_TRUE(got.hidden_states.empty() && got.attention_logits.empty());
  ASSERT_EQ(got.mixer_states.size(), wanted.mixer_states.size());
  int compared = 0;
  for (size_t i = 0; i < wanted.mixer_states.size(); ++i) {
    if (!got.mixer_states[i].defined()) continue;  // no student layer maps to it
    EXPECT_TRUE(
        at::allclose(got.mixer_states[i], wanted.mixer_states[i] * batch.mask.unsqueeze(-1), 1e-3, 1e-3));
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

TEST_F(TeacherCacheTest, KeepsQueriesKeysAndValuesOfTheLayerThatIsAskedFor) {
  const auto cache = Open(ToyRecipe("loss { minilm_relations {} } loss { soft_labels {} }", 2));
  const std::vector<int> rows = {7, 0, 39};
  const auto batch = MakeBatch(data_, rows);
  const at::NoGradGuard no_grad;
  const auto wanted = Forward(teacher_, batch, {.projections = true});
  const auto got = cache->Get(rows);
  ASSERT_EQ(got.projections.size(), wanted.projections.size());
  const at::Tensor real = batch.mask.unsqueeze(-1);
  for (const auto part :
       {&models::Projections::query, &models::Projections::key, &models::Projections::value}) {
    EXPECT_FALSE((got.projections[0].*part).defined());
    EXPECT_TRUE(
        at::allclose(got.projections.back().*part, wanted.projections.back().*part * real, 1e-3, 1e-5));
  }
  EXPECT_TRUE(got.hidden_states.empty());
  EXPECT_TRUE(at::allclose(got.logits, wanted.logits, 1e-6, 1e-6));
}

// Queries, keys and values have a bottleneck's width, states the hidden one.
TEST_F(TeacherCacheTest, ATeacherWithBottlenecks) {
  auto architecture = ToyArchitecture();
  ParseText("width: 12 share_query_key: true", "bottleneck", architecture.mutable_bottleneck());
  const models::Model teacher = ToyModel(architecture, 2, 0);
  const auto recipe = ToyRecipe("loss { minilm_relations {} } loss { hidden_states {} }", 2);
  const auto cache = TeacherCache::Open(recipe, teacher, student_.shape, data_, 2, directory_);
  ASSERT_NE(cache, nullptr);
  const std::vector<int> rows = {7, 0, 39};
  const auto batch = MakeBatch(data_, rows);
  const at::NoGradGuard no_grad;
  const auto wanted = Forward(teacher, batch, {.hidden_states = true, .projections = true});
  const auto got = cache->Get(rows);
  const at::Tensor real = batch.mask.unsqueeze(-1);
  EXPECT_EQ(wanted.projections[1].value.size(2), 12);
  EXPECT_TRUE(at::allclose(got.projections[1].value, wanted.projections[1].value * real, 1e-3, 1e-4));
  EXPECT_TRUE(at::allclose(got.hidden_states[2], wanted.hidden_states[2] * real, 1e-3, 1e-3));
}

TEST_F(TeacherCacheTest, IsReadBackAndRefusedWhenDamaged) {
  const auto cache = Open(recipe_);
  const auto written = fs::last_write_time(cache->path());
  const auto again = Open(recipe_);
  EXPECT_EQ(again->path(), cache->path());
  EXPECT_EQ(fs::last_write_time(cache->path()), written);
  EXPECT_TRUE(at::equal(again->Get({3}).hidden_states[1], cache->Get({3}).hidden_states[1]));
  EXPECT_FALSE(fs::exists(cache->path() + ".partial"));

  // Other layers, other teacher: another file.
  const auto fewer = Open(ToyRecipe("loss { hidden_states {} } layer_map: [1, 1]", 2));
  EXPECT_NE(fewer->path(), cache->path());
  EXPECT_FALSE(fewer->Get({3}).hidden_states[2].defined());
  EXPECT_TRUE(fewer->Get({3}).attention_logits.empty());
  const auto other = TeacherCache::Open(recipe_, ToyTeacher(5), student_.shape, data_, 2, directory_);
  EXPECT_NE(other->path(), cache->path());

  fs::resize_file(cache->path(), fs::file_size(cache->path()) - 2);
  EXPECT_THROW(Open(recipe_), Error);
}

// MobileBERT's states, which no LayerNorm holds back, go beyond float16's largest number.
TEST_F(TeacherCacheTest, TakesBfloat16WhereFloat16WouldOverflow) {
  models::Model teacher = ToyTeacher(1);
  teacher.weights.at("embedding.norm.weight").mul_(3e5);
  const auto open = [&] {
    return TeacherCache::Open(recipe_, teacher, student_.shape, data_, 2, directory_);
  };
  const auto cache = open();
  ASSERT_NE(cache, nullptr);
  const std::vector<int> rows = {7, 0, 39};
  const auto batch = MakeBatch(data_, rows);
  const at::NoGradGuard no_grad;
  const auto wanted = Forward(teacher, batch, {.hidden_states = true, .attention_logits = true});
  const auto got = cache->Get(rows);
  const at::Tensor real = batch.mask.unsqueeze(-1);
  EXPECT_GT(wanted.hidden_states[0].abs().max().item<double>(), 65504);
  EXPECT_TRUE(at::allclose(got.hidden_states[0], wanted.hidden_states[0] * real, 1.0 / 128, 1e-6));
  EXPECT_FALSE(at::allclose(got.hidden_states[0], wanted.hidden_states[0] * real, 1.0 / 2048, 1e-6))
      << "not rounded to 8 bits";
  for (const auto& score : got.attention_logits) EXPECT_TRUE(score.isfinite().all().item<bool>());
  EXPECT_EQ(open()->path(), cache->path());
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()), 1);
}

TEST_F(TeacherCacheTest, SeveralFilesShareTheirRoom) {
  const auto bytes = static_cast<int64_t>(fs::file_size(Open(recipe_)->path()));
  fs::remove_all(directory_);
  int64_t room = bytes * 3 / 2;
  const auto open = [&](uint64_t teacher) {
    return TeacherCache::Open(recipe_, ToyTeacher(teacher), student_.shape, data_, 2, directory_, &room);
  };
  EXPECT_NE(open(1), nullptr);
  EXPECT_EQ(room, bytes / 2);
  EXPECT_EQ(open(2), nullptr);
  EXPECT_EQ(TeacherCache::Room(recipe_), int64_t{8} << 30);
}

TEST_F(TeacherCacheTest, IsLeftOutWhereItDoesNotPay) {
  EXPECT_EQ(Open(recipe_, 1), nullptr);
  EXPECT_EQ(Open(ToyRecipe(kLabels, 2)), nullptr);
  EXPECT_EQ(Open(ToyRecipe(kDistillation, 2, "teacher_cache_gib: 1e-6")), nullptr);
  EXPECT_EQ(Open(ToyRecipe(kDistillation, 2, "teacher_cache_gib: 0")), nullptr);
  EXPECT_FALSE(fs::exists(directory_));
}

TEST_F(TeacherCacheTest, TrainsAsTheTeacherDoesAndWhateverTheCompany) {
  const auto cache = Open(recipe_);
  const auto train = [&](int members, const TeacherCache* with, models::Model* first) {
    std::vector<models::Model> models;
    for (int i = 0; i < members; ++i) models.push_back(ToyModel(ToyArchitecture(), 2 + i, 32));
    Job job;
    job.what = "toy";
    job.recipe = recipe_;
    job.deployment.set_threads(1);
    job.sources[0].train = &data_;
    job.sources[0].teacher = &teacher_;
    job.sources[0].teacher_cache = with;
    for (int i = 0; i < members; ++i)
      job.members.push_back({.name = std::to_string(i), .models = {&models[i]}, .seed = 1});
    const auto results = Train(job);
    *first = models[0];
    return results[0].epochs.back().train_loss;
  };
  models::Model run, alone, together;
  const double loss = train(1, nullptr, &run), cached = train(1, cache.get(), &alone);
  train(3, cache.get(), &together);
  EXPECT_NE(Bytes(run), Bytes(alone));
  EXPECT_NEAR(cached, loss, 2e-3 * loss);
  EXPECT_EQ(Bytes(alone), Bytes(together));
}

}  // namespace
}  // namespace thimble::train
