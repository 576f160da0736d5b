#include "search/controller.h"
#include "models/encoder/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "models/encoder/cost.h"
#include "tests/search/toy_study.h"

namespace thimble::search {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

int CountState(const std::vector<StoredTrial>& trials, TrialState state) {
  return static_cast<int>(
      std::count_if(trials.begin(), trials.end(), [&](const auto& t) { return t.trial.state == state; }));
}

TEST_F(ControllerTest, StagesRunInOrderAndBuildOnTheBest) {
  ToyScorer scorer;
  const auto results = Run(MakeStudy(), &scorer);
  EXPECT_THAT(scorer.prepared, ElementsAre("joint", "operators", "shape"));
  ASSERT_EQ(results.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const auto& trials = results[i].trials;
    EXPECT_EQ(results[i].name, scorer.prepared[i]);
    ASSERT_GE(results[i].best, 0);
    double best = 0;
    std::set<std::string> different;
    for (const auto& stored : trials) {
      EXPECT_EQ(stored.deployed_parameters,
                models::DeployedParameters(models::Resolve(stored.trial.architecture), kContext.classes));
      different.insert(models::CanonicalArchitecture(stored.trial.architecture));
      if (stored.trial.state == TrialState::kComplete) best = std::max(best, stored.trial.value);
    }
    EXPECT_EQ(different.size(), trials.size());
    EXPECT_EQ(trials[results[i].best].trial.value, best);
    EXPECT_EQ(trials.size() - CountState(trials, TrialState::kPruned),
              static_cast<size_t>(MakeStudy().stage(static_cast<int>(i)).trials()));
  }
  EXPECT_THAT(scorer.sizes, ElementsAre(4, 4, 2, 1, 4, 1, 1, 2, 2));  // a later stage begins with its base
  for (size_t i = 1; i < 3; ++i)
    EXPECT_EQ(models::ArchitectureHash(results[i].trials[0].trial.architecture),
              models::ArchitectureHash(results[i - 1].trials[results[i - 1].best].trial.architecture));

  const auto joint = results[0].trials[results[0].best].trial.architecture;
  EXPECT_EQ(models::ArchitectureHash(scorer.bases[0]),
            models::ArchitectureHash(SeedArchitecture(MakeStudy().space(), kContext)));
  EXPECT_EQ(models::ArchitectureHash(scorer.bases[1]), models::ArchitectureHash(joint));
  for (const auto& stored : results[1].trials)
    for (int layer = 0; layer < 2; ++layer) {
      EXPECT_EQ(stored.trial.architecture.layer(layer).ffn().stacks(), joint.layer(layer).ffn().stacks());
      EXPECT_EQ(stored.trial.architecture.layer(layer).ffn().ratio(), joint.layer(layer).ffn().ratio());
    }
  const auto operators = results[1].trials[results[1].best].trial.architecture;
  for (const auto& stored : results[2].trials)
    for (int layer = 0; layer < 2; ++layer)
      EXPECT_EQ(stored.trial.architecture.layer(layer).ffn().expression(),
                operators.layer(layer).ffn().expression());
}

TEST_F(ControllerTest, ABaseThatWasScoredAlikeBringsItsScore) {
  auto study = MakeStudy();
  *study.mutable_stage(1)->mutable_evaluator() = study.stage(0).evaluator();
  ToyScorer scorer;
  const auto results = Run(study, &scorer);
  const auto& base = results[0].trials[results[0].best];
  const auto& carried = results[1].trials[0];
  EXPECT_EQ(carried.trial.value, base.trial.value);
  EXPECT_EQ(carried.metrics, base.metrics);
  EXPECT_GE(results[1].trials[results[1].best].trial.value, base.trial.value);
  EXPECT_THAT(scorer.sizes, ElementsAre(4, 4, 2, 4, 2, 1, 2, 2));  // six more in the second stage
  EXPECT_EQ(results[1].trials.size(), 7u);

  ToyScorer again;  // read back, replayed
  EXPECT_EQ(Run(study, &again)[1].trials.size(), 7u);
  EXPECT_TRUE(again.sizes.empty());
}

TEST_F(ControllerTest, TheFilterKeepsTheBestOfEachRound) {
  ToyScorer scorer;
  const auto study = MakeStudy();
  const auto results = Run(study, &scorer);
  const auto& trials = results[0].trials;
  ASSERT_EQ(trials.size(), 20u);  // 8 + 8 + 4 proposals, of which 4 + 4 + 2 are evaluated
  for (int round = 0; round < 3; ++round) {
    double worst_kept = 2, best_pruned = -1;
    int kept = 0, proposed = 0;
    for (const auto& stored : trials) {
      if (stored.round != round) continue;
      ++proposed;
      const double toy = Toy("filter", study.stage(0), stored.trial.architecture);
      EXPECT_TRUE(toy < 0.1 ? std::isnan(stored.filter_score) : stored.filter_score == toy);
      if (stored.trial.state == TrialState::kPruned) {
        EXPECT_TRUE(std::isnan(stored.trial.value));
        best_pruned = std::max(best_pruned, toy);
      } else {
        ++kept;
        worst_kept = std::min(worst_kept, toy);
      }
    }
    EXPECT_EQ(proposed, round == 2 ? 4 : 8);
    EXPECT_EQ(kept, round == 2 ? 2 : 4);
    EXPECT_GT(worst_kept, best_pruned);
  }
  for (const auto& stored : results[1].trials) EXPECT_TRUE(std::isnan(stored.filter_score));
}

TEST_F(ControllerTest, FailuresKeepTheirReasonAndDoNotStopTheStudy) {
  ToyScorer scorer;
  int failed = 0;
  for (const auto& result : Run(MakeStudy(), &scorer))
    for (const auto& stored : result.trials) {
      if (stored.trial.state != TrialState::kFail) continue;
      ++failed;
      EXPECT_EQ(stored.reason, "the loss is not finite");
      EXPECT_TRUE(std::isnan(stored.trial.value));
    }
  EXPECT_GT(failed, 0);
}

// Every second candidate of a round leaves it, with a score above all others'.
class HalvingScorer final : public ToyScorer {
 public:
  std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) override {
    auto scores = ToyScorer::Evaluate(stage, round);
    for (size_t i = 1; i < scores.size(); i += 2) {
      scores[i].value += 10;  // of NaN: NaN
      scores[i].left_after = 2;
    }
    return scores;
  }
};

TEST_F(ControllerTest, WhoLeavesItsRoundIsEvaluatedAndNeverTheBest) {
  HalvingScorer scorer;
  const auto results = Run(MakeStudy(), &scorer);
  int left = 0;
  for (size_t i = 0; i < 3; ++i) {
    const auto& trials = results[i].trials;
    EXPECT_EQ(trials[results[i].best].trial.state, TrialState::kComplete);
    EXPECT_EQ(trials.size() - CountState(trials, TrialState::kPruned),
              static_cast<size_t>(MakeStudy().stage(static_cast<int>(i)).trials()));
    for (const auto& stored : trials) {
      const bool leaves = stored.trial.value > 10;
      EXPECT_EQ(stored.trial.state == TrialState::kLeft, leaves);
      EXPECT_EQ(stored.left_after, leaves ? 2 : 0);
      left += leaves ? 1 : 0;
    }
  }
  EXPECT_GT(left, 3);
  // Replayed from every round on, it is the same; read back, nothing is scored.
  IsTheSameKilledAnywhere<HalvingScorer>(MakeStudy(), scorer.calls, Table(results));
  HalvingScorer unused;
  EXPECT_EQ(Table(Run(MakeStudy(), &unused)), Table(results));
  EXPECT_EQ(unused.calls, 0);
}

TEST_F(ControllerTest, TheFirstOfEqualScoresIsTheBest) {
  class Equal final : public ToyScorer {
    std::vector<Score> Evaluate(const proto::Stage&, const Round& round) override {
      std::vector<Score> scores(round.candidates.size());
      for (size_t i = 0; i < scores.size(); ++i) scores[i].value = i == 0 ? -2.5 : -1.5;
      return scores;
    }
  } scorer;
  auto study = MakeStudy();
  study.mutable_stage()->DeleteSubrange(1, 2);
  study.mutable_stage(0)->clear_filter();
  EXPECT_EQ(Run(study, &scorer)[0].best, 1);
}

TEST_F(ControllerTest, AStageWithoutAnyScoreFailsWithTheReasons) {
  for (int attempt = 0; attempt < 2; ++attempt) {  // the second time from the store
    ToyScorer scorer;
    scorer.fail_all = true;
    const auto [code, text] = Thrown([&] { Run(MakeStudy(), &scorer); });
    EXPECT_EQ(code, kFailed);
    EXPECT_THAT(text, HasSubstr("stage \"joint\""));
    EXPECT_THAT(text, HasSubstr("out of memory ("));
    EXPECT_THAT(text, HasSubstr("the loss is not finite ("));
    EXPECT_EQ(scorer.sizes.size(), attempt == 0 ? 3u : 0u);
  }
}

// Of one stage that trains.
proto::Study Training(int trials, int again) {
  auto study = MakeStudy();
  study.mutable_stage()->DeleteSubrange(1, 2);
  study.mutable_stage(0)->clear_filter();
  study.mutable_stage(0)->mutable_evaluator()->mutable_short_distillation();
  study.mutable_stage(0)->set_trials(trials);
  study.mutable_stage(0)->set_again(again);
  return study;
}

TEST_F(ControllerTest, WhatCannotBeToldFromTheBestIsScoredOnceMore) {
  ToyScorer once, twice;
  const auto before = Run(Training(12, 0), &once, "once.db")[0];
  const auto study = Training(12, 3);
  const auto results = Run(study, &twice);
  ASSERT_EQ(results[0].trials.size(), before.trials.size());
  EXPECT_EQ(once.repeats, 0);
  EXPECT_EQ(twice.repeats, 3);  // with errors of a tenth several are close in twelve
  int repeated = 0;
  for (size_t i = 0; i < before.trials.size(); ++i) {
    const auto &first = before.trials[i], &folded = results[0].trials[i];
    if (folded.runs == 1) {
      EXPECT_EQ(Table({{"", {first}}}), Table({{"", {folded}}}));
      continue;
    }
    ++repeated;
    const double other = Toy("another score", study.stage(0), first.trial.architecture);
    EXPECT_DOUBLE_EQ(folded.trial.value, (first.trial.value + other) / 2);
    const double best = before.trials[before.best].trial.value;
    EXPECT_LT(best - first.trial.value, 2 * std::hypot(first.trial.value, best) / 10);
  }
  EXPECT_THAT(repeated, AllOf(Ge(1), Le(3)));  // a repeat that fails counts for nothing
  EXPECT_EQ(results[0].best, [&] {
    int best = -1;
    for (const auto& trial : results[0].trials)
      if (trial.trial.state == TrialState::kComplete &&
          (best < 0 || trial.trial.value > results[0].trials[best].trial.value))
        best = trial.number;
    return best;
  }());
  // Killed anywhere, it is the same; read back, nothing is scored.
  IsTheSameKilledAnywhere<ToyScorer>(study, twice.calls, Table(results));
  ToyScorer unused;
  EXPECT_EQ(Table(Run(study, &unused)), Table(results));
  EXPECT_EQ(unused.calls, 0);
}

// Far better than whatever the search finds.
class ReadyScorer final : public ToyScorer {
 public:
  std::optional<proto::Architecture> Ready() override {
    auto ready = SeedArchitecture(MakeStudy().space(), kContext);
    ready.set_hidden(2 * ready.hidden());  // none of the space's
    return ready;
  }
  std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) override {
    auto scores = ToyScorer::Evaluate(stage, round);
    for (size_t i = 0; i < scores.size(); ++i)
      if (round.candidates[i].ready) scores[i] = {.value = 7.0 + round.repeat, .standard_error = 1};
    return scores;
  }
};

TEST_F(ControllerTest, AReadyCheckpointIsTrainedBesideAndNeverTheBest) {
  auto study = Training(6, 3);
  study.set_ready("some/checkpoint");
  ReadyScorer scorer;
  const auto results = Run(study, &scorer);
  const auto& ready = results[0].trials.back();
  EXPECT_EQ(ready.trial.origin, kReady);
  EXPECT_EQ(ready.trial.value, 7);  // it can be told from the others
  EXPECT_NE(results[0].best, ready.number);
  for (const auto& trial : results[0].trials)
    EXPECT_EQ(trial.trial.origin == kReady, trial.number == ready.number);
  IsTheSameKilledAnywhere<ReadyScorer>(study, scorer.calls, Table(results));
  // A study that was begun without is another one.
  ToyScorer plain;
  auto without = study;
  without.clear_ready();
  const auto [code, text] = Thrown([&] { Run(without, &plain); });
  EXPECT_EQ(code, kBadRequest);
  EXPECT_THAT(text, HasSubstr("ready"));
}

TEST_F(ControllerTest, AStageEndsEarlyWhenTheSpaceRunsOut) {
  auto study = MakeStudy();
  study.mutable_stage()->DeleteSubrange(0, 2);
  study.mutable_stage(0)->clear_from();
  Override("space.layer[0].ffn.stacks=[1, 2]", &study);
  Override("space.layer[0].ffn.ratio=['1']", &study);
  study.mutable_stage(0)->set_trials(100);
  ToyScorer scorer, again;
  EXPECT_EQ(Run(study, &scorer)[0].trials.size(), 4u);
  EXPECT_EQ(Run(study, &again)[0].trials.size(), 4u);
  EXPECT_EQ(again.calls, 0);
  Store store(Path());
  EXPECT_EQ(store.Fact(1, "finished"), "no more candidates");
}

}  // namespace
}  // namespace thimble::search
