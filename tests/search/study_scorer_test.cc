// The study scorer on a small teacher in a directory, with a warm-up on text.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "models/hub/safetensors.h"
#include "tests/search/bench_study.h"
#include "tests/train/toy.h"

namespace thimble::search {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;

TEST_F(WorkbenchTest, AWarmUpThatTrainedOwnProjectionsIsReadBack) {
  const auto study = Study("loss { hidden_states { own_projections: true } }");
  const auto made = Open(study);
  const auto candidate = Candidates(study, *made)[1];
  const auto first = train::Bytes(made->Student(candidate));
  ASSERT_TRUE(models::ReadSafetensors(WarmUp()).tensors.Has("fit_dense.2.weight"));
  EXPECT_EQ(train::Bytes(Open(study)->Student(candidate)), first);
}

TEST_F(WorkbenchTest, AWarmUpBelongsToItsTeacher) {
  const auto study = Study();
  const auto made = Open(study);
  const auto candidate = Candidates(study, *made)[0];
  made->Student(candidate);
  const std::string before = made->teacher().model.weights.Hash();
  SaveTeacher(2);
  const auto other = Open(study);
  const std::string error = data::ErrorOf([&] { other->Student(candidate); });
  EXPECT_THAT(error, HasSubstr(WarmUp()));
  EXPECT_THAT(error, HasSubstr("got weights " + other->teacher().model.weights.Hash()));
  EXPECT_THAT(error, HasSubstr("accepted: weights " + before));
  SaveTeacher(1);
  Open(study)->Student(candidate);
  // Files of older versions do not say.
  auto file = models::ReadSafetensors(WarmUp());
  ASSERT_EQ(file.metadata.erase("teacher"), 1u);
  models::WriteSafetensors(WarmUp(), file.tensors, file.metadata);
  Open(study)->Student(candidate);
}

TEST_F(WorkbenchTest, DivergenceIsTheLossOnAnswersWhateverTheObjective) {
  auto plain = Study("loss { soft_labels { temperature: 1 } }", "evaluator { untrained {} }");
  auto study = Study("loss { hidden_states {} }", "evaluator { untrained {} }");
  study.set_fitness(proto::DIVERGENCE);
  for (auto* each : {&plain, &study})
    each->mutable_warmup()->clear_corpus();  // it would train by the objective
  const auto by_loss = Open(plain), by_answers = Open(study);
  const auto candidates = Candidates(plain, *by_loss);
  const auto expected = by_loss->Evaluate(plain.stage(0), candidates);
  const auto found = by_answers->Evaluate(study.stage(0), candidates);
  for (size_t i = 0; i < candidates.size(); ++i) {
    EXPECT_NEAR(found[i].value, expected[i].value, 1e-5);
    EXPECT_GT(found[i].standard_error, 0);
  }
}

models::Model Small(uint64_t seed, int classes) {
  return models::ShakenModel(
      "vocabulary: 18 positions: 32 hidden: 8 heads: 2 ffn_hidden: 16 embedding { plain {} }" +
          models::LayerText(models::kGeluBlock),
      classes, 0, seed);
}

TEST_F(WorkbenchTest, AReadyCheckpointIsTaughtFromItsOwnWeights) {
  auto study = Study("loss { hidden_states { } } loss { soft_labels {} } layers: NEAREST");
  study.mutable_warmup()->clear_corpus();
  const std::string folder = scratch_.path() + "/ready";
  study.set_ready(folder);
  const auto save = [&](uint64_t seed, int classes) {
    std::filesystem::create_directories(folder);
    std::filesystem::copy_file(scratch_.path() + "/teacher/vocab.txt", folder + "/vocab.txt",
                               std::filesystem::copy_options::overwrite_existing);
    models::SavePretrained(Small(seed, classes),
                           classes > 0 ? std::vector<std::string>{"no", "yes"} : std::vector<std::string>{},
                           folder);
  };
  const auto score = [&](int repeat) {
    const auto bench = Open(study);
    const auto ready = bench->Ready();
    EXPECT_EQ(ready->hidden(), 8);
    return bench->Evaluate(
        study.stage(0),
        Round{.candidates = {{.architecture = *ready, .control = true, .ready = true}}, .repeat = repeat})[0];
  };
  save(3, 2);
  const auto first = score(0);
  EXPECT_EQ(first.reason, "");
  EXPECT_EQ(score(0).value, first.value);
  EXPECT_NE(score(1).value, first.value);  // other rows first, other dropout
  save(4, 2);
  EXPECT_NE(score(0).value, first.value);
  save(3, 0);  // it gets a head
  EXPECT_EQ(score(0).reason, "");

  scratch_.Write("ready/vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
  EXPECT_THAT(data::ErrorOf([&] { Open(study); }),
              testing::AllOf(HasSubstr("ready"), HasSubstr("cuts text otherwise")));
}

TEST_F(WorkbenchTest, StudentsAreCutOutOfAnotherModelThanTheTeacher) {
  SaveTeacher(2);
  std::filesystem::copy(scratch_.path() + "/teacher", scratch_.path() + "/start");
  auto of_start = Study();
  of_start.mutable_warmup()->clear_corpus();
  of_start.mutable_teacher()->set_model(scratch_.path() + "/start");
  SaveTeacher(1);
  auto study = Study();
  EXPECT_THAT(data::ErrorOf([&] {
                auto both = study;
                both.mutable_warmup()->mutable_sliced()->set_model(scratch_.path() + "/start");
                Open(both);
              }),
              HasSubstr("warmup.corpus"));
  study.mutable_warmup()->clear_corpus();
  study.mutable_warmup()->mutable_sliced()->set_model(scratch_.path() + "/start");

  const auto bench = Open(study);
  const auto candidate = Candidates(study, *bench)[0];
  const auto expected = Open(of_start)->Student(candidate);
  EXPECT_EQ(train::Bytes(bench->Student(candidate)), train::Bytes(expected));
  // Of a start that was taught, through what it learnt.
  const auto onward = at::randn({24, 24}), bias = at::randn({24});
  models::Weights kept;
  kept.Add("fit_dense.weight", onward);
  kept.Add("fit_dense.bias", bias);
  models::WriteSafetensors(scratch_.path() + "/start/training.safetensors", kept, {});
  const auto student = Open(study)->Student(candidate);
  for (const auto& [name, tensor] : student.weights) {
    const auto& plain = expected.weights.at(name);
    const auto wanted = name == "fit_dense.weight" ? at::matmul(onward, plain)
                        : name == "fit_dense.bias" ? at::matmul(onward, plain) + bias
                                                   : plain;
    EXPECT_TRUE(at::allclose(tensor, wanted, 1e-4, 1e-5)) << name;
  }
  EXPECT_NE(bench->Inputs().at("warmup.sliced.model"), bench->Inputs().at("teacher.model"));
}

// Torch threads under which operators were called.
std::mutex counts_mutex;
std::set<int> counts;

std::unique_ptr<at::ObserverContext> Count(const at::RecordFunction&) {
  const std::lock_guard lock(counts_mutex);
  if (!at::in_parallel_region()) counts.insert(at::get_num_threads());
  return nullptr;
}

TEST_F(WorkbenchTest, ACandidateHasItsThreadsWhateverItsRound) {
  const auto study = Study();
  const auto bench = Open(study, {.members_threads = 2, .threads = 4});
  const auto candidates = Candidates(study, *bench);
  const auto together = bench->Untrained(candidates);  // makes what all candidates share
  const auto handle = at::addGlobalCallback(at::RecordFunctionCallback(Count));
  const auto alone = bench->Untrained({candidates[1]});
  EXPECT_THAT(counts, ElementsAre(2));
  counts.clear();
  bench->Untrained(candidates);
  EXPECT_THAT(counts, ElementsAre(2));
  at::removeCallback(handle);
  EXPECT_EQ(alone[0].metrics, together[1].metrics);
}

TEST_F(WorkbenchTest, ATrainedScoreDoesNotDependOnTheRound) {
  const auto study = Study();
  const auto bench = Open(study, {.members_threads = 2, .threads = 4});
  const auto candidates = Candidates(study, *bench);
  const auto together = bench->Evaluate(study.stage(0), candidates);
  for (size_t i = 0; i < candidates.size(); ++i) {
    const auto alone = bench->Evaluate(study.stage(0), {candidates[i]});
    EXPECT_EQ(alone[0].metrics, together[i].metrics) << i;
    EXPECT_EQ(alone[0].value, together[i].value) << i;
  }
}

// One candidate uses weights that say NaN; the others are scored as ever.
TEST_F(WorkbenchTest, ACandidateWithoutAScoreFailsAlone) {
  const auto study = Study("loss { hidden_states {} }", "evaluator { supernet { refit: false } }");
  const auto prepared = [&] {
    auto bench = Open(study);
    const auto base = SeedArchitecture(study.space(), bench->context());
    bench->Prepare(study.stage(0), StageSpace(study, study.stage(0), base, bench->context()));
    return bench;
  };
  const auto bench = prepared();
  const auto candidates = Candidates(study, *bench);
  const auto before = bench->Evaluate(study.stage(0), candidates);
  const std::string path = scratch_.path() + "/work/stage-only.safetensors";
  auto file = models::ReadSafetensors(path);
  file.tensors.at("layer.0.ffn.1.down.bias").fill_(std::nan(""));
  models::WriteSafetensors(path, file.tensors, file.metadata);
  const auto scores = prepared()->Evaluate(study.stage(0), candidates);
  EXPECT_TRUE(std::isnan(scores[1].value));
  EXPECT_THAT(scores[1].reason,
              MatchesRegex("row [0-9]+: the model says NaN or infinity, beginning with the output "
                           "of layer 0 of 2"));
  for (const size_t i : {0, 2}) {
    EXPECT_EQ(scores[i].value, before[i].value);
    EXPECT_EQ(scores[i].reason, "");
  }
}

TEST_F(WorkbenchTest, MembersThatStepTogetherAreMeasured) {
  const std::string distilled = "evaluator { short_distillation {} } ";
  const auto measured = Measured(distilled + "round: 3", 2);
  EXPECT_THAT(measured.members_threads, AnyOf(1, 2));
  EXPECT_EQ(measured.threads, 2);
  EXPECT_FALSE(measured.bfloat16);
  EXPECT_THAT(Measured(distilled + "round: 3", 8).members_threads, AnyOf(1, 3));  // no more than there are
  // Nothing to choose between.
  EXPECT_EQ(Measured(distilled + "round: 3", 1).members_threads, 1);
  EXPECT_EQ(Measured(distilled + "round: 1", 2).members_threads, 1);
  EXPECT_EQ(Measured("evaluator { untrained {} } ", 2).members_threads, 2);
}

}  // namespace
}  // namespace thimble::search
