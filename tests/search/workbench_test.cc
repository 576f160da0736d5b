// The workbench on a small teacher in a directory, with a warm-up on text.
#include "search/evaluators/workbench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/config.h"
#include "models/hub/pretrained.h"
#include "models/hub/safetensors.h"
#include "proto/deployment.pb.h"
#include "tests/data/scratch.h"
#include "tests/models/fixtures.h"
#include "tests/train/toy.h"

namespace thimble::search {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;

// `losses` of the objective, `evaluator` of the stage.
std::string StudyText(const std::string& folder, const std::string& losses, const std::string& evaluator) {
  return "teacher { model: '" + folder + "/teacher' } data { directory: '" + folder +
         "' holdout: 0.25 task { custom { train: 'train.tsv' dev: 'train.tsv' first: 'text' label: 'label' "
         "labels: ['no', 'yes'] } } } "
         "warmup { sliced { rows: 36 validate_rows: 12 } corpus { path: '" +
         folder +
         "/text.txt' } } "
         "space { vocabulary: 18 positions: 32 hidden: 12 heads: 4 layers: 2 embedding { plain {} } "
         "layer { mixer { self_attention {} } ffn { expression {} stacks: [1, 2] ratio: ['1', '1/2'] } } } "
         "recipe { precision: FLOAT32 batching { size: 8 max_length: 32 } objective { " +
         losses + " } optimizer { adamw { learning_rate: 1e-3 } } } stage { name: 'only' vary: STACKS " +
         evaluator + " trials: 4 }";
}

class WorkbenchTest : public testing::Test {
 protected:
  WorkbenchTest() {
    const std::vector<std::string> words = {"a",      "heron", "stood", "in",    "the", "water", "and",
                                            "waited", "for",   "fog",   "where", "did", "it"};
    std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    for (const auto& word : words) vocabulary += word + "\n";
    std::string rows = "text\tlabel\n", text;
    for (int i = 0; i < 48; ++i) {
      std::string line;
      for (int j = 0; j < 4 + i % 7; ++j)
        line += (j ? " " : "") + words[(5 * i + j * (1 + i % 3)) % words.size()];
      rows += line + "\t" + (i % 2 ? "yes" : "no") + "\n";
      text += line + "\n";
    }
    scratch_.Write("train.tsv", rows);
    scratch_.Write("text.txt", text);
    std::filesystem::create_directories(scratch_.path() + "/teacher");
    scratch_.Write("teacher/vocab.txt", vocabulary);
    SaveTeacher(1);
    deployment_.set_cache("none");
  }

  void SaveTeacher(uint64_t seed) const {
    const auto teacher = models::ShakenModel(
        "vocabulary: 18 positions: 32 hidden: 24 heads: 4 ffn_hidden: 48 embedding { plain {} }" +
            models::LayerText(models::kGeluBlock) + models::LayerText(models::kGeluBlock),
        2, 0, seed);
    models::SavePretrained(teacher, {"no", "yes"}, scratch_.path() + "/teacher");
  }

  proto::Study Study(const std::string& losses = "loss { hidden_states {} } loss { soft_labels {} }",
                     const std::string& evaluator = "evaluator { short_distillation {} }") const {
    proto::Study study;
    ParseText(StudyText(scratch_.path(), losses, evaluator), "study", &study);
    return study;
  }

  std::unique_ptr<Workbench> Open(const proto::Study& study, const Choices& choices = {}) const {
    auto bench = std::make_unique<Workbench>(study, scratch_.path(), deployment_);
    bench->Use(choices);
    return bench;
  }

  Choices Measured(const std::string& evaluator, int threads) {
    deployment_.set_threads(threads);
    return Workbench(Study("loss { soft_labels {} }", evaluator), scratch_.path(), deployment_).Measure();
  }

  std::string WarmUp() const { return scratch_.path() + "/work/warmup.safetensors"; }

  const data::Scratch scratch_;
  proto::Deployment deployment_;
};

std::vector<proto::Architecture> Candidates(const proto::Study& study, const Workbench& bench) {
  std::vector<proto::Architecture> candidates(3, SeedArchitecture(study.space(), bench.context()));
  candidates[1].mutable_layer(0)->mutable_ffn()->set_stacks(2);
  candidates[2].mutable_layer(1)->mutable_ffn()->set_ratio("1/2");
  return candidates;
}

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
  EXPECT_THAT(scores[1].reason, MatchesRegex("row [0-9]+: the model says NaN or infinity, beginning with the output "
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
