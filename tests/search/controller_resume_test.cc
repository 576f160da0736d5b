// Studies that were killed, interrupted, edited or changed between two runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>

#include "base/error.h"
#include "base/parallel.h"
#include "base/random.h"
#include "tests/search/toy_study.h"

namespace thimble::search {
namespace {

using ::testing::HasSubstr;

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
      std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) override {
        raise(SIGINT);
        return ToyScorer::Evaluate(stage, round);
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
  EXPECT_EQ(store.Trials(*store.FindStage("joint")).size(), 8u);  // the first round, whole
  ToyScorer whole, rest;
  EXPECT_EQ(Table(Run(MakeStudy(), &rest)), Table(Run(MakeStudy(), &whole, "whole.db")));
}

TEST_F(ControllerTest, AFinishedStudyIsReadBack) {
  ToyScorer scorer, unused;
  const std::string want = Table(Run(MakeStudy(), &scorer));
  EXPECT_EQ(Table(Run(MakeStudy(), &unused)), want);
  EXPECT_EQ(unused.calls, 0);
  Store store(Path());
  EXPECT_EQ(Table(ReadStudy(MakeStudy(), &store)), want);
  EXPECT_EQ(store.Fact(*store.FindStage("shape"), "finished"), "all trials evaluated");
}

TEST_F(ControllerTest, ReadingRunsAndCreatesNothing) {
  ToyScorer killed;
  killed.kill_at = 4;  // one round, 8 trials, is stored
  Store store(Path());
  EXPECT_EQ(ReadStudy(MakeStudy(), &store)[0].best, -1);
  EXPECT_EQ(store.FindStage("joint"), std::nullopt);
  EXPECT_THROW(RunStudy(MakeStudy(), kContext, &store, &killed), Killed);
  const auto results = ReadStudy(MakeStudy(), &store);
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].trials.size(), 8u);
  EXPECT_GE(results[0].best, 0);
  EXPECT_TRUE(results[1].trials.empty());
  EXPECT_EQ(results[1].best, -1);
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

// A scorer whose study's paths lead somewhere.
class PlacedScorer final : public ToyScorer {
 public:
  explicit PlacedScorer(std::string teacher) : teacher_(std::move(teacher)) {}
  std::map<std::string, std::string> Inputs() const override { return {{"teacher.model", teacher_}}; }

 private:
  std::string teacher_;
};

proto::Study Moved() {
  auto study = MakeStudy();
  study.mutable_teacher()->set_model("/elsewhere/teacher");
  study.mutable_data()->set_directory("/elsewhere");
  return study;
}

TEST_F(ControllerTest, PathsMayChangeWhatTheyLeadToMayNot) {
  PlacedScorer killed("weights 1"), other("weights 2"), same("weights 1"), whole("weights 1");
  killed.kill_at = 4;
  EXPECT_THROW(Run(MakeStudy(), &killed), Killed);
  for (const auto& study : {MakeStudy(), Moved()}) {
    const auto [code, text] = Thrown([&] { Run(study, &other); });
    EXPECT_EQ(code, kBadRequest);
    EXPECT_THAT(text, HasSubstr("teacher.model; got weights 2; accepted: weights 1"));
  }
  EXPECT_EQ(Table(Run(Moved(), &same)), Table(Run(MakeStudy(), &whole, "whole.db")));
}

// Earlier versions kept no inputs: the path stands for what it leads to.
TEST_F(ControllerTest, AStudyOfAnEarlierVersionGoesByItsPaths) {
  PlacedScorer killed("weights 1"), again("weights 1"), rest("weights 1"), whole("weights 1"),
      other("weights 2");
  killed.kill_at = again.kill_at = 4;
  EXPECT_THROW(Run(MakeStudy(), &killed), Killed);
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(Path().c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db,
                         "DELETE FROM study_user_attributes WHERE key LIKE 'input: %';"
                         "UPDATE studies SET study_name = replace(study_name, 'study/', 'old name/')",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(db);
  const auto [code, text] = Thrown([&] { Run(Moved(), &rest); });
  EXPECT_EQ(code, kBadRequest);
  EXPECT_THAT(text, HasSubstr("teacher.model"));
  EXPECT_THROW(Run(MakeStudy(), &again), Killed);
  EXPECT_EQ(Thrown([&] { Run(MakeStudy(), &other); }).first, kBadRequest)
      << "from now on the inputs are kept";
  EXPECT_EQ(Table(Run(Moved(), &rest)), Table(Run(MakeStudy(), &whole, "whole.db")));
}

TEST_F(ControllerTest, AnEditedStoreIsRefused) {
  const auto refusal = [&](const std::string& sql) {
    std::filesystem::remove(Path());
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

}  // namespace
}  // namespace thimble::search
