// What the strategies that learn from scores are made of, and what each of them does of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "search/learners/boosted_trees.h"
#include "search/learners/parzen.h"
#include "search/learners/scored_window.h"
#include "search/strategy.h"
#include "tests/search/studies.h"

namespace thimble::search {
namespace {

using testing::ElementsAre;

TEST(ParzenTest, DensityIsOneOverTheInterval) {
  const Parzen parzen({0.1, 0.12, 0.9});
  double sum = 0, mean = 0;
  constexpr int kSteps = 1000;
  for (int i = 0; i < kSteps; ++i) {
    const double x = (i + 0.5) / kSteps, density = std::exp(parzen.LogDensity(x));
    sum += density / kSteps, mean += x * density / kSteps;
  }
  EXPECT_NEAR(sum, 1, 1e-4);
  EXPECT_GT(parzen.LogDensity(0.11), parzen.LogDensity(0.5));
  Random random(1);
  double drawn = 0;
  for (int i = 0; i < 20000; ++i) {
    const double x = parzen.Draw(&random);
    ASSERT_TRUE(x >= 0 && x <= 1);
    drawn += x / 20000;
  }
  EXPECT_NEAR(drawn, mean, 0.01);
}

TEST(ParzenTest, SearchComesNearerThanChance) {
  const auto loss = [](const std::vector<double>& x) {
    return std::pow(x[0] - 0.3, 2) + std::pow(x[1] - 0.8, 2);
  };
  double searched = 0, drawn = 0;
  for (int seed = 0; seed < 30; ++seed) {
    ParzenSearch search(2, Random(seed));
    Random random(seed + 100);
    double best = 9, chance = 9;
    for (int i = 0; i < 40; ++i) {
      auto point = search.Ask();
      const double value = loss(point);
      search.Tell(std::move(point), value);
      best = std::min(best, value);
      chance = std::min(chance, loss({random.Uniform(), random.Uniform()}));
    }
    searched += best, drawn += chance;
  }
  EXPECT_LT(searched, 0.5 * drawn);
}

// Label 1 where both features are large, or neither.
std::pair<Rows, std::vector<float>> Corners(int count, uint64_t seed) {
  Random random(seed);
  Rows rows{.columns = 3};
  std::vector<float> labels;
  for (int i = 0; i < count; ++i) {
    const float row[] = {static_cast<float>(random.Below(10)), static_cast<float>(random.Below(10)),
                         static_cast<float>(random.Below(10))};
    rows.Add(row);
    labels.push_back((row[0] > 4) == (row[1] > 4));
  }
  return {rows, labels};
}

TEST(BoostedTreesTest, TellsWhatNoSingleFeatureTells) {
  const auto [rows, labels] = Corners(400, 1);
  const auto [fresh, wanted] = Corners(200, 2);
  const auto tuned = FitTuned(rows, labels, 10, Random(1));
  EXPECT_GT(tuned.accuracy, 0.9);
  const auto predicted = tuned.trees.Predict(fresh);
  int right = 0;
  for (size_t i = 0; i < predicted.size(); ++i) right += (predicted[i] > 0.5f) == (wanted[i] > 0.5f);
  EXPECT_GT(right, 180);
  EXPECT_EQ(FitTuned(rows, labels, 10, Random(1)).trees.Predict(fresh), predicted);
  EXPECT_NE(FitTuned(rows, labels, 10, Random(2)).trees.Predict(fresh), predicted);
  EXPECT_TRUE(tuned.trees.Predict({.columns = 3}).empty());
}

TEST(ScoredWindowTest, KeepsTheLatestAndTheBestOfThoseBefore) {
  const auto values = [](const std::vector<const ScoredWindow::Candidate*>& candidates) {
    std::vector<double> all;
    for (const auto* each : candidates) all.push_back(each->value);
    return all;
  };
  ScoredWindow window(5);
  for (const double value : {3, 9, 1, 7, 2, 8, 4, 5}) window.Add({{}, Eigen::VectorXd::Zero(1), value, 0});
  EXPECT_THAT(values(window.All()), ElementsAre(9, 7, 8, 4, 5));
  EXPECT_THAT(values(window.Best(3)), ElementsAre(9, 8, 7));
  EXPECT_EQ(window.added(), 8);
}

TEST(ScoredWindowTest, StandardisesValuesAndTheirErrors) {
  ScoredWindow window(10);
  for (const double value : {1, 3, 5, 7}) window.Add({{}, Eigen::VectorXd::Constant(2, value), value, 0.5});
  const Standardised data = Standardise(window.All());
  EXPECT_NEAR(data.values.mean(), 0, 1e-12);
  EXPECT_NEAR(data.values.squaredNorm() / 4, 1, 1e-12);
  EXPECT_NEAR(data.known[0], 0.25 / 5, 1e-12);  // over the values' variance
  EXPECT_NEAR(data.values[3] * data.deviation + data.mean, 7, 1e-12);
  EXPECT_EQ(data.points(1, 2), 5);
}

// The more stacks in the first layers, the better.
double Score(const proto::Architecture& architecture) {
  double score = 0;
  for (int i = 0; i < architecture.layer_size(); ++i)
    score += (i < 3 ? 1 : -1) * architecture.layer(i).ffn().stacks();
  return score;
}

struct Searched {
  std::vector<double> scores;
  std::vector<std::string> origins;

  double Mean(size_t from) const {
    double sum = 0;
    for (size_t i = from; i < scores.size(); ++i) sum += scores[i];
    return sum / static_cast<double>(scores.size() - from);
  }
};

Searched Search(const std::string& strategy_text, double (*score)(const proto::Architecture&), int trials) {
  const auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", kPaperLimit);
  const StageSpace space = MakeSpace(study);
  proto::Strategy spec;
  ParseText(strategy_text, "strategy", &spec);
  const auto strategy = MakeStrategy(spec, space, Random(1));
  Searched searched;
  while (static_cast<int>(searched.scores.size()) < trials) {
    std::vector<Trial> round;
    for (const auto& suggestion : strategy->Suggest(5)) {
      searched.origins.push_back(strategy->Origin(suggestion));
      searched.scores.push_back(score(suggestion));
      round.push_back({suggestion, TrialState::kComplete, score(suggestion)});
    }
    strategy->Observe(round);
  }
  return searched;
}

TEST(LearnedActionSpaceTest, BothWalksLearnAfterTheInitialSample) {
  for (const std::string walk : {"GREEDY", "VISITS"}) {
    const auto searched =
        Search("learned_action_space { initial: 40 rebuild: 10 tuning: 3 walk: " + walk + "}", Score, 100);
    const auto& origins = searched.origins;
    EXPECT_EQ(std::count(origins.begin(), origins.begin() + 40, "drawn"), 40) << walk;
    EXPECT_GT(std::count(origins.begin() + 40, origins.end(), "learned"), 55) << walk;
    const std::vector<double> first(searched.scores.begin(), searched.scores.begin() + 40);
    double drawn = 0;
    for (const double score : first) drawn += score / 40;
    EXPECT_GT(searched.Mean(40), drawn + (walk == "GREEDY" ? 1.5 : 0.5)) << walk;
  }
}

TEST(LearnedActionSpaceTest, VisitsAreTheSameWhereverASearchGoesOn) {
  const auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", kPaperLimit);
  const StageSpace space = MakeSpace(study);
  proto::Strategy spec;
  ParseText(
      "learned_action_space { initial: 20 rebuild: 10 tuning: 2 walk: VISITS max_height: 3 exploration: 1 }",
      "strategy", &spec);
  const auto text = [](const std::vector<proto::Architecture>& suggestions) {
    std::string all;
    for (const auto& each : suggestions) all += models::CanonicalArchitecture(each) + "\n";
    return all;
  };
  const auto asked = MakeStrategy(spec, space, Random(1)), told = MakeStrategy(spec, space, Random(1));
  for (int round = 0; round < 12; ++round) {
    std::vector<Trial> trials;
    for (const auto& suggestion : asked->Suggest(4))
      trials.push_back({suggestion, TrialState::kComplete, Score(suggestion)});
    asked->Suggest(3);  // visits that nobody observes
    asked->Observe(trials);
    for (const Trial& trial : trials) told->Observe({trial});
  }
  for (int again = 0; again < 3; ++again) EXPECT_EQ(text(asked->Suggest(5)), text(told->Suggest(5)));
}

TEST(LearnedActionSpaceTest, ScoresThatAreAllAlikeTeachNothing) {
  const auto searched = Search(
      "learned_action_space { initial: 20 rebuild: 5 }", [](const proto::Architecture&) { return 0.5; }, 40);
  EXPECT_EQ(std::count(searched.origins.begin(), searched.origins.end(), "drawn"), 40);
}

TEST(LearnedActionSpaceTest, ScoresOfTwoValuesAreTold) {
  // Most share the best one: the median is no threshold.
  const auto searched = Search(
      "learned_action_space { initial: 40 rebuild: 10 tuning: 3 }",
      [](const proto::Architecture& candidate) { return candidate.layer(0).ffn().stacks() > 1 ? 1.0 : 0.0; },
      80);
  EXPECT_GT(searched.Mean(40), 0.95);
}

TEST(GaussianProcessSearchTest, Learns) {
  EXPECT_GT(Search("gaussian_process {}", Score, 60).Mean(40), Search("random {}", Score, 60).Mean(0) + 3);
}

TEST(BoshnasTest, LearnsAndSaysHowAProposalCame) {
  const auto searched = Search("boshnas {}", Score, 60);
  EXPECT_GT(searched.Mean(40), Search("random {}", Score, 60).Mean(0) + 1.5);
  const std::set<std::string> origins(searched.origins.begin(), searched.origins.end());
  EXPECT_THAT(origins, ElementsAre("drawn", "query", "uncertain"));
}

TEST(BoshnasTest, SharesThatAreMoreThanAllAreRefused) {
  auto study = MakeStudy(kAnyLayer, "[STACKS]", "");
  auto* stage = study.mutable_stage(0);
  ParseText("boshnas { uncertain: 0.6 random: 0.5 }", "strategy", stage->mutable_strategy());
  try {
    EntryOf(stage->strategy()).check(*stage, "stage[0].strategy.boshnas");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("stage[0].strategy.boshnas.uncertain"));
    EXPECT_THAT(error.what(), testing::HasSubstr("at most 0.5"));
  }
}

}  // namespace
}  // namespace thimble::search
