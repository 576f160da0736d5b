#include "data/metrics/metrics.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/random.h"
#include "data/metrics/squad_metrics.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using ::testing::HasSubstr;

TEST(MetricsTest, EqualToScikitLearn) {
  const auto golden = nlohmann::json::parse(ReadFile(THIMBLE_SOURCE_DIR "/tests/golden/metrics.json"));
  ASSERT_FALSE(golden["cases"].empty());
  for (const auto& item : golden["cases"]) {
    SCOPED_TRACE(item["name"]);
    const auto predicted = item["predicted"].get<std::vector<int>>(),
               gold = item["gold"].get<std::vector<int>>();
    const auto metrics = ComputeMetrics({"accuracy", "f1"}, predicted, gold);
    const double accuracy = item["accuracy"], f1 = item["f1"], f1_error = item["f1_standard_error"];
    EXPECT_EQ(metrics[0].name, "accuracy");
    EXPECT_DOUBLE_EQ(metrics[0].value, accuracy);
    EXPECT_DOUBLE_EQ(metrics[0].standard_error,
                     std::sqrt(accuracy * (1 - accuracy) / static_cast<double>(gold.size())));
    EXPECT_EQ(metrics[1].name, "f1");
    EXPECT_DOUBLE_EQ(metrics[1].value, f1);
    // 200 resamples know a standard error to 5%; three times that is allowed.
    EXPECT_NEAR(metrics[1].standard_error, f1_error, 0.15 * f1_error);
  }
}

class MoreMetricsTest : public ::testing::Test {
 protected:
  static double Number(const nlohmann::json& json) {
    return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
  }
  static void ExpectSame(double value, const nlohmann::json& expected) {
    EXPECT_THAT(value, ::testing::NanSensitiveDoubleNear(Number(expected), 1e-9));
  }
  const nlohmann::json golden_ =
      nlohmann::json::parse(ReadFile(THIMBLE_SOURCE_DIR "/tests/golden/metrics_more.json"));
};

TEST_F(MoreMetricsTest, OfClassesAsScikitLearn) {
  ASSERT_GT(golden_["classes"].size(), 40u);
  for (const auto& item : golden_["classes"]) {
    SCOPED_TRACE(item);
    const auto predicted = item["predicted"].get<std::vector<int>>(),
               gold = item["gold"].get<std::vector<int>>();
    for (const char* name : {"accuracy", "matthews", "kappa", "macro_f1"})
      ExpectSame(ComputeMetric(name, predicted, gold).value, item[name]);
  }
}

TEST_F(MoreMetricsTest, OfNumbersAsScipy) {
  ASSERT_GT(golden_["numbers"].size(), 15u);
  for (const auto& item : golden_["numbers"]) {
    SCOPED_TRACE(item);
    const auto predicted = item["predicted"].get<std::vector<double>>(),
               gold = item["gold"].get<std::vector<double>>();
    for (const char* name : {"pearson", "spearman"})
      ExpectSame(ComputeMetric(name, predicted, gold).value, item[name]);
  }
  const std::vector<double> nan = {1, std::nan(""), 2}, numbers = {1, 2, 3};
  EXPECT_TRUE(std::isnan(ComputeMetric("pearson", nan, numbers).value));
  EXPECT_TRUE(std::isnan(ComputeMetric("spearman", nan, numbers).value));
}

// The standard error of a correlation of n normal pairs is (1 - r^2) / sqrt(n), nearly.
TEST_F(MoreMetricsTest, BootstrapOfACorrelation) {
  Random random(7);
  std::vector<double> a, b;
  for (int i = 0; i < 2000; ++i) {
    a.push_back(random.Normal());
    b.push_back(a.back() + random.Normal());
  }
  const auto metric = ComputeMetric("pearson", a, b);
  const double expected = (1 - metric.value * metric.value) / std::sqrt(2000.0);
  EXPECT_NEAR(metric.standard_error, expected, 0.2 * expected);
}

TEST_F(MoreMetricsTest, SpansAsTheOfficialScripts) {
  for (const auto& item : golden_["texts"])
    EXPECT_EQ(NormalizeAnswer(item[0].get<std::string>()), item[1].get<std::string>()) << item;
  ASSERT_GT(golden_["spans"].size(), 100u);
  std::vector<SpanScore> scores;
  double exact = 0;
  for (const auto& item : golden_["spans"]) {
    SCOPED_TRACE(item);
    const std::string predicted = item["predicted"];
    const auto gold = item["gold"].get<std::vector<std::string>>();
    for (const auto& [version, key] : {std::pair{SquadVersion::k1, "v1"}, {SquadVersion::k2, "v2"}}) {
      const SpanScore score = ScoreSpan(predicted, gold, version);
      ExpectSame(score.exact, item[key][0]);
      ExpectSame(score.f1, item[key][1]);
      scores.push_back(score);
      exact += score.exact;
    }
  }
  const auto metrics = SpanMetrics({"exact_match", "f1"}, scores);
  const double mean = exact / static_cast<double>(scores.size());
  EXPECT_DOUBLE_EQ(metrics[0].value, mean);
  EXPECT_NEAR(metrics[0].standard_error, std::sqrt(mean * (1 - mean) / static_cast<double>(scores.size())),
              1e-12);
}

TEST_F(MoreMetricsTest, NullThresholdAsTheOfficialScript) {
  for (const auto& item : golden_["thresholds"]) {
    std::vector<NullCandidate> questions;
    for (const auto& q : item["questions"])
      questions.push_back({q["null_odds"], q["score"], q["has_answer"], q["empty"]});
    const NullThreshold best = BestNullThreshold(questions);
    ExpectSame(best.threshold, item["threshold"]);
    ExpectSame(best.score, item["score"]);
  }
}

TEST(MetricsTest, SameNumbersEveryTime) {
  const std::vector<int> predicted = {1, 0, 1, 1, 0, 1}, gold = {1, 1, 0, 1, 0, 1};
  EXPECT_EQ(ComputeMetric("f1", predicted, gold).standard_error,
            ComputeMetric("f1", predicted, gold).standard_error);
}

TEST(MetricsTest, UnknownNameListsTheKnown) {
  EXPECT_THAT(ErrorOf([] { ComputeMetric("f2", std::vector<int>{1}, std::vector<int>{1}); }),
              HasSubstr("got \"f2\"; accepted: accuracy, f1, kappa, macro_f1, matthews"));
  EXPECT_THAT(ErrorOf([] { ComputeMetric("f1", std::vector<double>{1}, std::vector<double>{1}); }),
              HasSubstr("accepted: pearson, spearman"));
}

TEST(MetricsTest, UnequalLengthsAreABrokenInvariant) {
  EXPECT_THROW(ComputeMetric("accuracy", std::vector<int>{1, 0}, std::vector<int>{1}), std::logic_error);
  EXPECT_THROW(ComputeMetric("accuracy", std::vector<int>{}, std::vector<int>{}), std::logic_error);
}

TEST(MetricsTest, MajorityShare) {
  EXPECT_DOUBLE_EQ(MajorityShare({0, 2, 2, 1}), 0.5);
  EXPECT_DOUBLE_EQ(MajorityShare({1}), 1);
}

}  // namespace
}  // namespace thimble::data
