#include "search/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <set>

#include "base/config.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "base/random.h"
#include "models/arch/architecture.h"
#include "models/arch/cost.h"

namespace thimble::search {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const SpaceContext kContext{.classes = 2, .teacher_hidden = 16};

constexpr char kStudy[] = R"(
  teacher { model: "teacher" hidden: 16 layers: 4 }
  data { directory: "data" task { sample {} } }
  warmup { sliced {} }
  space {
    hidden: 8 heads: 2 layers: 2 vocabulary: 50 positions: 16 ffn_hidden: 16
    embedding { plain {} }
    layer { mixer { self_attention {} } ffn { expression { max_height: 4 } } }
  }
  recipe { optimizer { adamw { learning_rate: 1e-3 } } }
  stage { name: "joint" vary: [STACKS, RATIO] filter { sliced_score {} keep: 0.5 }
          strategy { evolution { population: 4 tournament: 2 } } evaluator { untrained {} } trials: 10 round: 4 }
  stage { name: "operators" vary: EXPRESSION from: "joint" strategy { evolution { population: 4 tournament: 2 } }
          evaluator { short_distillation {} } trials: 6 }
  stage { name: "shape" vary: [RATIO, STACKS] from: "operators" evaluator { supernet {} } trials: 5 round: 2 }
)";

proto::Study MakeStudy() {
  proto::Study study;
  ParseText(kStudy, "study", &study);
  return study;
}

struct Killed {};

// A number in [0, 1) that belongs to the candidate, the stage and `what`.
double Toy(const std::string& what, const proto::Stage& stage, const proto::Architecture& candidate) {
  const uint64_t hash = Hash64(what + stage.name() + models::CanonicalArchitecture(candidate));
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

class ToyScorer : public Scorer {
 public:
  void Prepare(const proto::Stage& stage, const StageSpace& space) override {
    Count();
    prepared.push_back(stage.name());
    bases.push_back(space.base());
  }
  std::vector<double> Filter(const proto::Stage& stage,
                             const std::vector<proto::Architecture>& candidates) override {
    Count();
    std::vector<double> scores;
    for (const auto& candidate : candidates) {
      const double toy = Toy("filter", stage, candidate);
      scores.push_back(toy < 0.1 ? kNaN : toy);
    }
    return scores;
  }
  std::vector<Score> Evaluate(const proto::Stage& stage,
                              const std::vector<proto::Architecture>& candidates) override {
    Count();
    sizes.push_back(static_cast<int>(candidates.size()));
    std::vector<Score> scores;
    for (const auto& candidate : candidates) {
      const double toy = Toy("score", stage, candidate);
      if (toy < 0.2 || fail_all)
        scores.push_back({.value = kNaN, .reason = toy < 0.6 ? "the loss is not finite" : "out of memory"});
      else
        scores.push_back(
            {.value = toy, .standard_error = toy / 10, .metrics = R"({"accuracy":0.5})", .seconds = 1});
    }
    if (pause_us > 0) usleep(pause_us);
    return scores;
  }

  int calls = 0;
  int kill_at = -1;  // the call that dies
  bool fail_all = false;
  useconds_t pause_us = 0;
  std::vector<std::string> prepared;
  std::vector<proto::Architecture> bases;
  std::vector<int> sizes;  // of the calls of Evaluate

 private:
  void Count() {
    if (calls++ == kill_at) throw Killed();
  }
};

class ControllerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        fs::temp_directory_path() / ("thimble_controller_" + std::to_string(getpid()) + "_" +
                                     ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }
  std::string Path(const std::string& name = "trials.db") const { return (directory_ / name).string(); }

  std::vector<StageResult> Run(const proto::Study& study, Scorer* scorer,
                               const std::string& name = "trials.db") const {
    Store store(Path(name));
    return RunStudy(study, "toy", kContext, &store, scorer);
  }

  fs::path directory_;
};

// Everything but times.
std::string Table(const std::vector<StageResult>& results) {
  std::string table;
  const auto number = [](double value) {
    char text[40];
    std::snprintf(text, sizeof(text), " %a", value);
    return std::isnan(value) ? std::string(" nan") : std::string(text);
  };
  for (const auto& result : results) {
    table += result.name + " best " + std::to_string(result.best) + "\n";
    for (const auto& t : result.trials)
      table += std::to_string(t.number) + " " + std::to_string(t.round) + " " +
               std::to_string(static_cast<int>(t.trial.state)) + number(t.trial.value) +
               number(t.trial.standard_error) + number(t.filter_score) + " " +
               std::to_string(t.deployed_parameters) + " " + t.metrics + " " + t.reason + " " +
               CanonicalText(t.trial.architecture) + "\n";
  }
  return table;
}

std::pair<int, std::string> Thrown(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {kDone, "nothing was thrown"};
}

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

TEST_F(ControllerTest, AKillAtAnyCallChangesNothing) {
  ToyScorer whole;
  const std::string want = Table(Run(MakeStudy(), &whole, "whole.db"));
  ASSERT_GT(whole.calls, 12);
  for (int kill_at = 0; kill_at < whole.calls; ++kill_at) {
    SCOPED_TRACE("killed at call " + std::to_string(kill_at));
    const std::string name = std::to_string(kill_at) + ".db";
    ToyScorer first, second;
    first.kill_at = kill_at;
    EXPECT_THROW(Run(MakeStudy(), &first, name), Killed);
    ASSERT_EQ(Table(Run(MakeStudy(), &second, name)), want);
    // At most one preparation and one unfinished round are done again.
    EXPECT_LE(first.calls + second.calls, whole.calls + 3);
  }
}

TEST_F(ControllerTest, AKillAtEveryCallInTurnChangesNothing) {
  ToyScorer whole;
  const std::string want = Table(Run(MakeStudy(), &whole, "whole.db"));
  int kills = 0;
  for (int patience = 3;; ++kills) {  // preparation, filter and one round fit into three calls
    ToyScorer scorer;
    scorer.kill_at = patience;
    try {
      ASSERT_EQ(Table(Run(MakeStudy(), &scorer)), want);
      break;
    } catch (const Killed&) {
    }
    ASSERT_LT(kills, 50);
  }
  EXPECT_GE(kills, 5);
}

TEST_F(ControllerTest, SigkillAtRandomMomentsChangesNothing) {
  ToyScorer whole;
  const std::string want = Table(Run(MakeStudy(), &whole, "whole.db"));
  Random random(11);
  int kills = 0;
  for (;; ++kills) {
    ASSERT_LT(kills, 500);
    const pid_t child = fork();
    if (child == 0) {
      ToyScorer scorer;
      scorer.pause_us = 3000;
      int code = 0;
      try {
        Run(MakeStudy(), &scorer);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        code = 1;
      }
      _exit(code);
    }
    usleep(static_cast<useconds_t>(random.Below(60000)));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) continue;
    ASSERT_EQ(WEXITSTATUS(status), 0);
    break;
  }
  EXPECT_GT(kills, 0);
  ToyScorer scorer;
  EXPECT_EQ(Table(Run(MakeStudy(), &scorer)), want);
  EXPECT_EQ(scorer.calls, 0);
}

TEST_F(ControllerTest, AnInterruptStopsBetweenRounds) {
  const pid_t child = fork();  // the interrupt flag stays set for the life of a process
  if (child == 0) {
    class Interrupting final : public ToyScorer {
      std::vector<Score> Evaluate(const proto::Stage& stage,
                                  const std::vector<proto::Architecture>& c) override {
        raise(SIGINT);
        return ToyScorer::Evaluate(stage, c);
      }
    };
    InstallInterruptHandler();
    Interrupting scorer;
    _exit(Thrown([&] { Run(MakeStudy(), &scorer); }).first);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), kInterrupted);
  Store store(Path());
  EXPECT_EQ(store.Trials(*store.FindStage("toy/joint")).size(), 8u);  // the first round, whole
  ToyScorer whole, rest;
  EXPECT_EQ(Table(Run(MakeStudy(), &rest)), Table(Run(MakeStudy(), &whole, "whole.db")));
}

TEST_F(ControllerTest, AFinishedStudyIsReadBack) {
  ToyScorer scorer, unused;
  const std::string want = Table(Run(MakeStudy(), &scorer));
  EXPECT_EQ(Table(Run(MakeStudy(), &unused)), want);
  EXPECT_EQ(unused.calls, 0);
  Store store(Path());
  EXPECT_EQ(Table(ReadStudy(MakeStudy(), "toy", kContext, &store)), want);
  EXPECT_EQ(store.Fact(*store.FindStage("toy/shape"), "finished"), "all trials evaluated");
}

TEST_F(ControllerTest, ReadingRunsAndCreatesNothing) {
  ToyScorer killed;
  killed.kill_at = 4;  // one round, 8 trials, is stored
  Store store(Path());
  EXPECT_EQ(ReadStudy(MakeStudy(), "toy", kContext, &store)[0].best, -1);
  EXPECT_EQ(store.FindStage("toy/joint"), std::nullopt);
  EXPECT_THROW(RunStudy(MakeStudy(), "toy", kContext, &store, &killed), Killed);
  const auto results = ReadStudy(MakeStudy(), "toy", kContext, &store);
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].trials.size(), 8u);
  EXPECT_GE(results[0].best, 0);
  EXPECT_TRUE(results[1].trials.empty());
  EXPECT_EQ(results[1].best, -1);
}

TEST_F(ControllerTest, TheFirstOfEqualScoresIsTheBest) {
  class Equal final : public ToyScorer {
    std::vector<Score> Evaluate(const proto::Stage&,
                                const std::vector<proto::Architecture>& candidates) override {
      std::vector<Score> scores(candidates.size());
      for (size_t i = 0; i < scores.size(); ++i) scores[i].value = i == 0 ? -2.5 : -1.5;
      return scores;
    }
  } scorer;
  auto study = MakeStudy();
  study.mutable_stage()->DeleteSubrange(1, 2);
  study.mutable_stage(0)->clear_filter();
  EXPECT_EQ(Run(study, &scorer)[0].best, 1);
}

TEST_F(ControllerTest, AChangedStudyIsRefusedAndTheFieldNamed) {
  ToyScorer killed;
  killed.kill_at = 4;
  EXPECT_THROW(Run(MakeStudy(), &killed), Killed);
  ToyScorer scorer;
  const auto refusal = [&](const std::string& change) {
    auto study = MakeStudy();
    Override(change, &study);
    const auto [code, text] = Thrown([&] { Run(study, &scorer); });
    EXPECT_EQ(code, kBadRequest) << change;
    EXPECT_THAT(text, HasSubstr("new directory"));
    return text;
  };
  EXPECT_THAT(refusal("stage[0].trials=11"), HasSubstr("stage[0].trials: 10 -> 11"));
  EXPECT_THAT(refusal("seed=2"), HasSubstr("seed: 2"));
  EXPECT_THAT(refusal("space.layer[0].ffn.stacks=[1, 2]"), HasSubstr("space.layer[0].ffn.stacks"));
  EXPECT_THAT(refusal("recipe.optimizer.adamw.learning_rate=2e-3"), HasSubstr("0.001 -> 0.002"));
  EXPECT_EQ(scorer.calls, 0);
}

TEST_F(ControllerTest, WhereDataLieAndLaterStagesMayChange) {
  ToyScorer killed, scorer, whole;
  killed.kill_at = 4;
  EXPECT_THROW(Run(MakeStudy(), &killed), Killed);
  auto study = MakeStudy();
  study.mutable_data()->set_directory("/elsewhere");
  study.mutable_stage(1)->set_trials(5);
  study.set_seed(1);  // the default, spelt out
  EXPECT_EQ(Table(Run(study, &scorer)), Table(Run(study, &whole, "whole.db")));
}

TEST_F(ControllerTest, AnEditedStoreIsRefused) {
  const auto refusal = [&](const std::string& sql) {
    fs::remove(Path());
    ToyScorer killed, scorer;
    killed.kill_at = 6;  // two rounds, 16 trials, are stored
    EXPECT_THROW(Run(MakeStudy(), &killed), Killed);
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(Path().c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
    const auto [code, text] = Thrown([&] { Run(MakeStudy(), &scorer); });
    EXPECT_EQ(code, kBadRequest) << sql;
    EXPECT_EQ(scorer.calls, 0);
    return text;
  };
  EXPECT_THAT(
      refusal("UPDATE trial_user_attributes SET value_json = "
              "(SELECT value_json FROM trial_user_attributes WHERE trial_id = 1 AND key = 'architecture') "
              "WHERE trial_id = 6 AND key = 'architecture'"),
      HasSubstr("trial 5 does not fit, its architecture"));
  EXPECT_THAT(
      refusal("UPDATE trial_user_attributes SET value_json = '3' WHERE trial_id = 10 AND key = 'round'"),
      HasSubstr("trial 9 does not fit, it is of round 3"));
  EXPECT_THAT(refusal("UPDATE trials SET state = 'PRUNED' WHERE number < 8"),
              HasSubstr("evaluated candidates"));
  EXPECT_THAT(refusal("DELETE FROM trials WHERE number > 12"),
              HasSubstr("trial 13 does not fit, it is missing"));
}

TEST_F(ControllerTest, AStageWithoutAnyScoreFailsWithTheReasons) {
  for (int attempt = 0; attempt < 2; ++attempt) {  // the second time from the store
    ToyScorer scorer;
    scorer.fail_all = true;
    const auto [code, text] = Thrown([&] { Run(MakeStudy(), &scorer); });
    EXPECT_EQ(code, kFailed);
    EXPECT_THAT(text, HasSubstr("toy/joint"));
    EXPECT_THAT(text, HasSubstr("out of memory ("));
    EXPECT_THAT(text, HasSubstr("the loss is not finite ("));
    EXPECT_EQ(scorer.sizes.size(), attempt == 0 ? 3u : 0u);
  }
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

struct Mistake {
  std::string change;  // of MakeStudy
  std::string path, problem;
};

class ValidateStudyTest : public ::testing::TestWithParam<Mistake> {};

TEST_P(ValidateStudyTest, IsRefusedWithItsPath) {
  auto study = MakeStudy();
  size_t at = 0;
  for (const std::string& all = GetParam().change; at < all.size();) {
    const size_t end = std::min(all.find(" ; ", at), all.size());
    Override(all.substr(at, end - at), &study);
    at = end + 3;
  }
  Validate(study, "study");
  const auto [code, text] = Thrown([&] { ValidateStudy(study, kContext, "file.textproto"); });
  EXPECT_EQ(code, kBadRequest);
  EXPECT_THAT(text, HasSubstr("file.textproto: " + GetParam().path + ": "));
  EXPECT_THAT(text, HasSubstr(GetParam().problem));
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes, ValidateStudyTest,
    ::testing::Values(
        Mistake{"stage[1].name=joint", "stage[1].name", "stage 0 has the same name"},
        Mistake{"stage[1].name=a/b", "stage[1].name", "letters, digits"},
        Mistake{"stage[1].from=shape", "stage[1].from", "comes later; got \"shape\"; accepted: joint"},
        Mistake{"stage[1].from=operators", "stage[1].from", "itself"},
        Mistake{"stage[2].from=none", "stage[2].from",
                "no stage has this name; got \"none\"; accepted: joint, operators"},
        Mistake{"stage[0].from=none", "stage[0].from", "accepted: nothing, in the first stage"},
        Mistake{"stage[0].vary=[]", "stage[0].vary", "varies something; accepted: EXPRESSION, STACKS, RATIO"},
        Mistake{"stage[0].vary=[RATIO, RATIO]", "stage[0].vary[1]", "named twice; got RATIO"},
        Mistake{"stage[2].vary=STACKS ; space.layer[0].ffn.stacks=[2]", "stage[2].vary", "a single value"},
        Mistake{"warmup={}", "stage[0].filter.sliced_score", "does not slice"},
        Mistake{"stage[0].filter.keep=1e-7", "stage[0].filter.keep", "proposals a round"},
        Mistake{"stage[0].strategy.evolution.tournament=5", "stage[0].strategy.evolution.tournament",
                "at most 4"},
        Mistake{"space.layers=3", "space.layers", "divisor of 4"},
        Mistake{"constraint[0]={parameters {min: 10 max: 9}}", "constraint[0].parameters.min", "above max"},
        Mistake{"constraint[0]={parameters {max: 10}}", "stage[0]", ""}));

TEST(ValidateStudyCases, AcceptsWhatFits) {
  ValidateStudy(MakeStudy(), kContext, "study");
  auto study = MakeStudy();
  Override("constraint[0]={parameters {max: 1000000 counting: PAPER}}", &study);
  ValidateStudy(study, kContext, "study");
  const auto [code, text] =
      Thrown([&] { ValidateStudy(study, {.classes = 2, .teacher_hidden = 0}, "study"); });
  EXPECT_EQ(code, kBadRequest);
  EXPECT_THAT(text, HasSubstr("teacher"));
}

TEST(ValidateStudyCases, UntrainedNeedsASlicedStart) {
  auto study = MakeStudy();
  study.clear_warmup();
  study.mutable_stage(0)->clear_filter();
  const auto [code, text] = Thrown([&] { ValidateStudy(study, kContext, ""); });
  EXPECT_EQ(code, kBadRequest);
  EXPECT_EQ(text.substr(0, text.find(": ")), "stage[0].evaluator.untrained");
}

TEST(ValidateStudyCases, AStudyHasAStage) {
  auto study = MakeStudy();
  study.clear_stage();
  EXPECT_THAT(Thrown([&] { ValidateStudy(study, kContext, "study"); }).second,
              HasSubstr("at least one stage"));
}

}  // namespace
}  // namespace thimble::search
