// Successive halving over the candidates of a small study.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "models/hub/safetensors.h"
#include "search/brackets.h"
#include "search/evaluator.h"
#include "search/store.h"
#include "tests/search/bench_study.h"

namespace thimble::search {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SuccessiveHalvingTest : public WorkbenchTest {
 protected:
  // The rate is constant: a candidate stands after an epoch where a run of so many epochs ends.
  proto::Study Of(const std::string& evaluator, proto::Fitness fitness = proto::LOSS) const {
    auto study =
        Study("loss { hidden_states {} } loss { soft_labels {} }", "evaluator { " + evaluator + " }");
    Override("recipe.schedule={constant { warmup_fraction: 0 }}", &study);
    study.set_fitness(fitness);
    return study;
  }

  std::vector<Score> Evaluate(const proto::Study& study,
                              const std::vector<proto::Architecture>& candidates) const {
    return Open(study)->Evaluate(study.stage(0), candidates);
  }

  std::vector<proto::Architecture> Four() const {
    const auto study = Study();
    auto candidates = Candidates(study, *Open(study));
    candidates.push_back(candidates[1]);
    candidates[3].mutable_layer(1)->mutable_ffn()->set_stacks(2);
    return candidates;
  }
};

std::vector<int> LeftAfter(const std::vector<Score>& scores) {
  std::vector<int> epochs;
  for (const auto& score : scores) epochs.push_back(score.left_after);
  return epochs;
}

TEST_F(SuccessiveHalvingTest, ControlsStayToTheEndBesideTheOthers) {
  const auto candidates = Four();
  const auto study = Of("successive_halving { epochs: 3 least: 1 }");
  const auto alone = Evaluate(study, candidates);
  size_t first = 0;
  for (size_t i = 0; i < alone.size(); ++i)
    if (alone[i].left_after == 1) first = i;
  Round beside{.number = 0};
  for (size_t i = 0; i < candidates.size(); ++i)
    beside.candidates.push_back({.architecture = candidates[i], .control = i == first});
  const auto with = Open(study)->Evaluate(study.stage(0), beside);
  EXPECT_EQ(with[first].left_after, 0);
  // Of the three others two stay, then one.
  EXPECT_EQ(std::count_if(with.begin(), with.end(), [](const Score& score) { return score.left_after == 0; }),
            2);
  EXPECT_EQ(std::count_if(with.begin(), with.end(), [](const Score& score) { return score.left_after == 1; }),
            1);
}

TEST_F(SuccessiveHalvingTest, TheWorseHalfLeavesAfterEachEpochAsByHand) {
  const auto candidates = Four();
  for (const auto fitness : {proto::LOSS, proto::DIVERGENCE}) {
    SCOPED_TRACE(proto::Fitness_Name(fitness));
    const auto scores = Evaluate(Of("successive_halving { epochs: 3 least: 1 }", fitness), candidates);
    std::vector<size_t> there = {0, 1, 2, 3};
    for (const int epoch : {1, 2, 3}) {
      std::vector<proto::Architecture> trained;
      for (const size_t i : there) trained.push_back(candidates[i]);
      const auto by_hand =
          Evaluate(Of("short_distillation { epochs: " + std::to_string(epoch) + " }", fitness), trained);
      std::vector<size_t> order(there.size());
      std::iota(order.begin(), order.end(), size_t{0});
      std::sort(order.begin(), order.end(),
                [&](size_t a, size_t b) { return by_hand[a].value > by_hand[b].value; });
      std::vector<size_t> staying;
      for (size_t k = 0; k < order.size(); ++k) {
        const size_t i = there[order[k]];
        if (epoch < 3 && k < order.size() / 2) {
          staying.push_back(i);
          continue;
        }
        EXPECT_EQ(scores[i].left_after, epoch < 3 ? epoch : 0) << i;
        EXPECT_EQ(scores[i].value, by_hand[order[k]].value) << i;
        EXPECT_EQ(scores[i].standard_error, by_hand[order[k]].standard_error) << i;
        EXPECT_EQ(scores[i].metrics, by_hand[order[k]].metrics) << i;
      }
      std::sort(staying.begin(), staying.end());
      there = staying;
    }
  }
}

TEST_F(SuccessiveHalvingTest, SomeStayWhateverTheShareAndNobodyLeavesAfterTheLastEpoch) {
  const auto candidates = Four();
  const auto left = [&](const std::string& rule) {
    auto epochs = LeftAfter(Evaluate(Of("successive_halving { " + rule + " }"), candidates));
    std::sort(epochs.begin(), epochs.end());
    return epochs;
  };
  EXPECT_THAT(left("epochs: 1 keep: 0.1 least: 1"), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(left("epochs: 3 keep: 0.1"), ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(left("epochs: 3 keep: 0.6 least: 1"), ElementsAre(0, 0, 1, 2));  // ceil(2.4), ceil(1.8)
  EXPECT_THAT(left("epochs: 2 keep: 0.1 least: 5"), ElementsAre(0, 0, 0, 0));
}

// One that fails leaves, and does not count among those of whom a share goes on.
TEST(BracketsTest, AsPublished) {
  // Li et al., table 1: R = 81, eta = 3.
  proto::Hyperband hyperband;
  hyperband.set_epochs(81);
  const std::vector<int> candidates = {81, 34, 15, 8, 5};
  for (int round = 0; round < 10; ++round)
    EXPECT_EQ(BracketOf(hyperband, round).candidates, candidates[round % 5]) << round;
  EXPECT_THAT(BracketOf(hyperband, 0).rungs, ElementsAre(1, 3, 9, 27));
  EXPECT_THAT(BracketOf(hyperband, 3).rungs, ElementsAre(27));
  EXPECT_THAT(BracketOf(hyperband, 4).rungs, ElementsAre());
  hyperband.set_epochs(2);  // less than one reduction
  EXPECT_EQ(BracketOf(hyperband, 0).candidates, 1);
  EXPECT_THAT(BracketOf(hyperband, 0).rungs, ElementsAre());
}

TEST_F(SuccessiveHalvingTest, ABracketOfHyperbandLosesAllButOneInEta) {
  const auto candidates = Four();
  const auto study = Of("hyperband { epochs: 4 reduction: 2 }");
  Round round{.number = 0};
  for (const auto& candidate : candidates) round.candidates.push_back({.architecture = candidate});
  EXPECT_EQ(RoundSize(study.stage(0), 0), 4);
  EXPECT_THAT(LeftAfter(Open(study)->Evaluate(study.stage(0), round)),
              testing::UnorderedElementsAre(0, 1, 1, 2));
  round.number = 2;  // all on the whole budget
  EXPECT_EQ(RoundSize(study.stage(0), 2), 3);
  EXPECT_THAT(LeftAfter(Open(study)->Evaluate(study.stage(0), round)), ElementsAre(0, 0, 0, 0));
  // Who stays to the end has the score of the same training without company.
  const auto plain = Of("short_distillation { epochs: 4 }");
  EXPECT_EQ(Open(study)->Evaluate(study.stage(0), round)[1].value,
            Open(plain)->Evaluate(plain.stage(0), candidates)[1].value);
}

TEST_F(SuccessiveHalvingTest, WhoFailsLeaves) {
  auto study = Of("successive_halving { epochs: 2 least: 1 }");
  study.mutable_warmup()->mutable_sliced()->set_refit(false);
  const auto candidates = Candidates(study, *Open(study));
  Open(study)->Student(candidates[0]);
  auto file = models::ReadSafetensors(WarmUp());
  file.tensors.at("layer.0.ffn.1.down.bias").fill_(std::nan(""));  // of the second alone
  models::WriteSafetensors(WarmUp(), file.tensors, file.metadata);
  const auto scores = Evaluate(study, candidates);
  EXPECT_TRUE(std::isnan(scores[1].value));
  EXPECT_THAT(scores[1].reason, HasSubstr("the loss is nan at step 1"));
  EXPECT_EQ(scores[0].left_after + scores[2].left_after, 1);
  EXPECT_TRUE(std::isfinite(scores[0].value) && std::isfinite(scores[2].value));
}

TEST_F(SuccessiveHalvingTest, AStudyKeepsWhoLeftAndIsReadBack) {
  auto study = Of("successive_halving { epochs: 2 }");
  study.set_controls(false);
  const auto bench = Open(study);
  const auto run = [&] {
    Store store(scratch_.path() + "/study.db");
    return RunStudy(study, bench->context(), &store, bench.get())[0];
  };
  const auto found = run();
  ASSERT_EQ(found.trials.size(), 4u);
  int left = 0;
  double best = -HUGE_VAL;
  for (const auto& stored : found.trials) {
    left += stored.trial.state == TrialState::kLeft ? 1 : 0;
    EXPECT_EQ(stored.left_after, stored.trial.state == TrialState::kLeft ? 1 : 0);
    EXPECT_TRUE(std::isfinite(stored.trial.value));
    if (stored.trial.state == TrialState::kComplete) best = std::max(best, stored.trial.value);
  }
  EXPECT_EQ(left, 2);
  EXPECT_EQ(found.trials[found.best].trial.value, best);
  const auto again = run();
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(again.trials[i].trial.state, found.trials[i].trial.state);
    EXPECT_EQ(again.trials[i].trial.value, found.trials[i].trial.value);
  }
  for (const auto& file : std::filesystem::directory_iterator(scratch_.path() + "/work"))
    EXPECT_NE(file.path().extension(), ".checkpoint") << file.path();
}

}  // namespace
}  // namespace thimble::search
