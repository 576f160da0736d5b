// Studies with targets, allocation and controls, scored by a toy: stages for each target, controls beside the
// candidates, kills.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "tests/search/toy_study.h"

namespace thimble::search {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kFamily[] = R"(
  teacher { model: "teacher" hidden: 48 layers: 2 }
  data { directory: "data" task { sample {} } }
  warmup { sliced {} }
  space {
    hidden: [48, 36] heads: 4 head_width: 12 layers: [2, 1] vocabulary: 50 positions: 32 embedding { plain {} }
    layer { mixer { self_attention {} } heads: [4, 3, 2, 1, 0] ffn { expression {} stacks: 1 width: [96, 64, 32, 0] } }
  }
  target { multiply_adds { speedup: 2 length: 20 } }
  target { multiply_adds { speedup: 4 length: 20 } }
  recipe { optimizer { adamw { learning_rate: 1e-3 } } }
  stage { name: "cut" vary: [HEADS, WIDTH, HIDDEN, LAYERS] strategy { allocation {} } evaluator { untrained {} } trials: 20 round: 8 }
  stage { name: "taught" vary: [HEADS, WIDTH, HIDDEN, LAYERS] from: "cut" strategy { finalists {} }
          evaluator { short_distillation {} } trials: 5 round: 5 }
)";

SpaceContext Context() {
  proto::Architecture teacher;
  ParseText("vocabulary: 50 positions: 32 hidden: 48 heads: 4 embedding { plain {} }", "teacher", &teacher);
  for (int i = 0; i < 2; ++i)
    ParseText("mixer { self_attention {} } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' width: 96 }",
              "layer", teacher.add_layer());
  return {.classes = 2, .teacher_hidden = 48, .teacher = teacher};
}

class FamilyScorer final : public ToyScorer {
 public:
  CutDamages Damages(int hidden) override {
    widths.push_back(hidden);
    CutDamages damages{.neuron_step = 32};
    for (int layer = 0; layer < 2; ++layer) {
      damages.heads.push_back({1.0 + layer, 0.3, 0.1, 0.03, 0});
      damages.neurons.push_back({2.0 / hidden, 0.01, 0.003, 0});
    }
    return damages;
  }
  std::vector<int> widths;
};

class FamilyTest : public ControllerTest {
 protected:
  static proto::Study Family() {
    proto::Study study;
    ParseText(kFamily, "study", &study);
    return study;
  }
  std::vector<StageResult> RunFamily(const proto::Study& study, Scorer* scorer,
                                     const std::string& name = "trials.db") const {
    Store store(Path(name));
    return RunStudy(study, Context(), &store, scorer);
  }
};

// Of the trials, with their origins.
std::string Origins(const std::vector<StageResult>& results) {
  std::string text;
  for (const auto& stage : results)
    for (const auto& stored : stage.trials) text += stage.name + " " + stored.trial.origin + "\n";
  return text;
}

TEST_F(FamilyTest, EveryTargetHasItsStagesAndKeepsItsLimit) {
  FamilyScorer scorer;
  const auto results = RunFamily(Family(), &scorer);
  EXPECT_THAT(scorer.prepared, ElementsAre("cut-2x", "taught-2x", "cut-4x", "taught-4x"));
  const auto groups = ByTarget(results);
  ASSERT_EQ(groups.size(), 2u);
  const double whole = static_cast<double>(models::MultiplyAdds(models::Resolve(*Context().teacher), 20));
  for (size_t target = 0; target < 2; ++target) {
    EXPECT_EQ(groups[target][0].target, target == 0 ? "2x" : "4x");
    for (const auto& stage : groups[target])
      for (const auto& stored : stage.trials)
        EXPECT_LE(models::MultiplyAdds(models::Resolve(stored.trial.architecture), 20),
                  whole / (target == 0 ? 2 : 4));
    // The finalists: the best uniform and the best random student of the first stage, then its best.
    const auto& cut = groups[target][0].trials;
    const auto& taught = groups[target][1].trials;
    ASSERT_EQ(taught.size(), 5u);
    const auto best = [&](const std::string& origin) {
      const StoredTrial* found = nullptr;
      for (const auto& stored : cut)
        if (stored.trial.state == TrialState::kComplete &&
            (origin.empty() || stored.trial.origin == origin) &&
            (found == nullptr || stored.trial.value > found->trial.value))
          found = &stored;
      return found == nullptr ? "" : CanonicalText(found->trial.architecture);
    };
    ASSERT_FALSE(best(kUniform).empty());
    EXPECT_EQ(CanonicalText(taught[0].trial.architecture), best(kUniform));
    EXPECT_EQ(taught[0].trial.origin, kUniform);
    EXPECT_EQ(CanonicalText(taught[1].trial.architecture), best(kRandom));
    std::set<std::string> all;
    for (const auto& stored : taught) all.insert(CanonicalText(stored.trial.architecture));
    EXPECT_EQ(all.count(best("")), 1u);
  }
  EXPECT_THAT(Origins(results), HasSubstr("cut-4x plan\n"));
  // What is learnt of the teacher is kept with each stage; the scorer knows what it has worked out.
  EXPECT_THAT(std::set<int>(scorer.widths.begin(), scorer.widths.end()), ElementsAre(36, 48));
  // What is read is what was run.
  Store store(Path());
  const auto read = ReadStudy(Family(), &store);
  EXPECT_EQ(Table(read), Table(results));
  EXPECT_EQ(Origins(read), Origins(results));
  EXPECT_EQ(ByTarget(read).size(), 2u);
}

TEST_F(FamilyTest, AKillAtAnyCallChangesNothing) {
  FamilyScorer whole;
  const auto results = RunFamily(Family(), &whole, "whole.db");
  for (int kill_at = 0; kill_at < whole.calls; ++kill_at) {
    SCOPED_TRACE("killed at call " + std::to_string(kill_at));
    const std::string name = std::to_string(kill_at) + ".db";
    FamilyScorer first, second;
    first.kill_at = kill_at;
    EXPECT_THROW(RunFamily(Family(), &first, name), Killed);
    const auto again = RunFamily(Family(), &second, name);
    ASSERT_EQ(Table(again), Table(results));
    ASSERT_EQ(Origins(again), Origins(results));
  }
}

TEST_F(FamilyTest, AnotherTargetLeavesTheOthersAsTheyAre) {
  auto study = Family();
  FamilyScorer first, second;
  const auto before = RunFamily(study, &first);
  study.add_target()->mutable_multiply_adds()->set_speedup(3);
  study.mutable_target(2)->mutable_multiply_adds()->set_length(20);
  auto after = RunFamily(study, &second);
  EXPECT_THAT(second.prepared, ElementsAre("cut-3x", "taught-3x"));
  after.resize(before.size());
  EXPECT_EQ(Table(after), Table(before));
}

TEST_F(FamilyTest, ControlsStandBesideTheTrialsOfTheLastStageThatTrains) {
  auto study = MakeStudy();
  study.clear_controls();
  ToyScorer scorer;
  const auto results = Run(study, &scorer);
  EXPECT_THAT(scorer.sizes,
              ElementsAre(4, 4, 2, 3, 4, 1, 1, 2, 2));  // the second stage opens with base, uniform, random
  std::map<std::string, int> origins;
  for (const auto& stored : results[1].trials) ++origins[stored.trial.origin];
  EXPECT_EQ(origins[kUniform], 1);
  EXPECT_EQ(origins[kRandom], 1);
  EXPECT_EQ(results[1].trials.size(), static_cast<size_t>(study.stage(1).trials()) + 2);
  const auto& uniform = results[1].trials[1].trial.architecture;
  for (const auto& layer : uniform.layer())
    EXPECT_EQ(layer.SerializeAsString(), uniform.layer(0).SerializeAsString());
  ToyScorer again;
  EXPECT_EQ(Table(Run(study, &again)), Table(results));
  for (int kill_at = 3; kill_at < scorer.calls; ++kill_at) {
    ToyScorer killed, resumed;
    killed.kill_at = kill_at;
    const std::string name = std::to_string(kill_at) + ".db";
    EXPECT_THROW(Run(study, &killed, name), Killed);
    ASSERT_EQ(Table(Run(study, &resumed, name)), Table(results));
  }
}

TEST_F(FamilyTest, ABudgetBelowASingleHeadIsRefusedBeforeWork) {
  auto study = Family();
  Override("target[0].multiply_adds.speedup=100000", &study);
  FamilyScorer scorer;
  const auto [code, text] = Thrown([&] { RunFamily(study, &scorer); });
  EXPECT_EQ(code, kBadRequest);
  EXPECT_THAT(text, HasSubstr("constraint[0].multiply_adds: no student with a head is within the budget"));
  EXPECT_EQ(scorer.calls, 0);
  EXPECT_TRUE(scorer.widths.empty());
}

TEST_F(FamilyTest, AllocationAsksForWhatItNeeds) {
  const auto refusal = [&](const std::string& change) {
    auto study = Family();
    Override(change, &study);
    return Thrown([&] { ValidateStudy(study, Context(), "study"); }).second;
  };
  EXPECT_THAT(refusal("stage[0].vary=[HEADS]"), HasSubstr("does not vary both"));
  EXPECT_THAT(refusal("target=[]"), HasSubstr("the study has none"));
  EXPECT_THAT(refusal("warmup={}"), HasSubstr("does not slice the teacher"));
  EXPECT_THAT(refusal("stage[0].strategy={finalists {}}"), HasSubstr("takes the best of the stage before"));
  EXPECT_THAT(refusal("target[1].multiply_adds.speedup=2"),
              HasSubstr("target[1]: another target has the same name; got 2x"));
}

}  // namespace
}  // namespace thimble::search
