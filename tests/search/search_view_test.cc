// The lines that a terminal shows of a search.
#include "search/search_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/status.h"

namespace thimble::search {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

StoredTrial Scored(int number, double value, const std::string& origin, const std::string& metrics = "") {
  StoredTrial trial{.number = number};
  trial.trial.value = value;
  trial.trial.standard_error = 0.25;
  trial.trial.origin = origin;
  trial.metrics = metrics;
  return trial;
}

TEST(SearchView, SaysWhatThereIsToSay) {
  ViewState state{
      .stage = "joint", .target = "", .number = 1, .stages = 2, .scored = 0, .wanted = 8, .round = 4};
  EXPECT_THAT(ViewLines(state, {}),
              ElementsAre(Pair("stage joint", "(1 of 2): 0 of 8 candidates scored, 4 under way")));
  state = {.stage = "training-4x",
           .target = "4x",
           .number = 2,
           .stages = 4,
           .scored = 6,
           .wanted = 8,
           .round = 0,
           .teacher = "accuracy 0.9",
           .seconds = 120,
           .scored_before = 2};
  std::vector<StoredTrial> trials = {Scored(0, -0.5, kUniform, R"({"accuracy":0.8,"loss":1})"),
                                     Scored(1, -0.75, kRandom),
                                     Scored(2, -0.25, "plan", R"({"loss":2,"f1":0.875})"),
                                     Scored(3, -0.125, kReady), Scored(4, NAN, "plan")};
  trials.back().trial.state = TrialState::kFail;
  EXPECT_THAT(
      ViewLines(state, trials),
      ElementsAre(Pair("stage training-4x", "(2 of 4, target 4x): 6 of 8 candidates scored"),
                  // A ready checkpoint is nothing that the search has found.
                  Pair("best",
                       "-0.25 +- 0.25 (trial 2, f1 0.875); uniform -0.5, accuracy 0.8; random -0.75; ready "
                       "checkpoint -0.125; teacher accuracy 0.9"),
                  Pair("time", "2 min 00 s, 2 candidates a minute, about 1 min 00 s left of this stage")));
}

TEST(StatusText, IsCutToTheTerminalAndItsLabelStandsOut) {
  EXPECT_EQ(StatusText("best", "0.5", 80, false), "best 0.5");
  EXPECT_EQ(StatusText("best", "0.5", 80, true), "\x1b[1mbest\x1b[0m 0.5");
  EXPECT_EQ(StatusText("best", "0.5", 7, false), "best 0");
  EXPECT_EQ(StatusText("best", "0.5", 3, true), "\x1b[1mbe\x1b[0m");
  EXPECT_EQ(StatusText("", "text", 80, true), "text");
}

}  // namespace
}  // namespace thimble::search
