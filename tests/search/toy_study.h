// A study of three stages over a toy space, scored by hashes: for the tests of the controller.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "base/hash.h"
#include "models/arch/architecture.h"
#include "search/controller.h"

namespace thimble::search {

inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
inline const SpaceContext kContext{.classes = 2, .teacher_hidden = 16};

inline constexpr char kStudy[] = R"(
  teacher { model: "teacher" hidden: 16 layers: 4 }
  data { directory: "data" task { sample {} } }
  warmup { sliced {} }
  space {
    hidden: 8 heads: 2 layers: 2 vocabulary: 50 positions: 16 ffn_hidden: 16
    embedding { plain {} }
    layer { mixer { self_attention {} } ffn { expression { max_height: 4 } } }
  }
  recipe { optimizer { adamw { learning_rate: 1e-3 } } }
  controls: false
  stage { name: "joint" vary: [STACKS, RATIO] filter { sliced_score {} keep: 0.5 }
          strategy { evolution { population: 4 tournament: 2 } } evaluator { untrained {} } trials: 10 round: 4 }
  stage { name: "operators" vary: EXPRESSION from: "joint" strategy { evolution { population: 4 tournament: 2 } }
          evaluator { short_distillation {} } trials: 6 }
  stage { name: "shape" vary: [RATIO, STACKS] from: "operators" evaluator { supernet {} } trials: 5 round: 2 }
)";

inline proto::Study MakeStudy() {
  proto::Study study;
  ParseText(kStudy, "study", &study);
  return study;
}

struct Killed {};

// A number in [0, 1) that belongs to the candidate, the stage and `what`.
inline double Toy(const std::string& what, const proto::Stage& stage, const proto::Architecture& candidate) {
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
  std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) override {
    Count();
    sizes.push_back(static_cast<int>(round.candidates.size()));
    std::vector<Score> scores;
    for (const auto& candidate : round.candidates) {
      const double toy = Toy(round.repeat == 0 ? "score" : "another score", stage, candidate.architecture);
      repeats += round.repeat;
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
  int repeats = 0;         // candidates that were scored once more

 private:
  void Count() {
    if (calls++ == kill_at) throw Killed();
  }
};

// Everything but times.
inline std::string Table(const std::vector<StageResult>& results) {
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
               std::to_string(t.deployed_parameters) + " " + std::to_string(t.left_after) + " " + t.metrics +
               " " + t.reason + " " + CanonicalText(t.trial.architecture) + "\n";
  }
  return table;
}

class ControllerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() /
                 ("thimble_controller_" + std::to_string(getpid()) + "_" +
                  ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name = "trials.db") const { return (directory_ / name).string(); }

  std::vector<StageResult> Run(const proto::Study& study, Scorer* scorer,
                               const std::string& name = "trials.db") const {
    Store store(Path(name));
    return RunStudy(study, kContext, &store, scorer);
  }

  // Killed at each of its scorer's calls in turn, and run again, it ends as without.
  template <typename ScorerToKill>
  void IsTheSameKilledAnywhere(const proto::Study& study, int calls, const std::string& table) const {
    for (int kill_at = 0; kill_at < calls; ++kill_at) {
      ScorerToKill first, second;
      first.kill_at = kill_at;
      const std::string name = std::to_string(kill_at) + ".db";
      EXPECT_THROW(Run(study, &first, name), Killed);
      ASSERT_EQ(Table(Run(study, &second, name)), table) << kill_at;
    }
  }

  std::filesystem::path directory_;
};

inline std::pair<int, std::string> Thrown(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {kDone, "nothing was thrown"};
}

}  // namespace thimble::search
