#include "data/metrics.h"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/files.h"
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

TEST(MetricsTest, SameNumbersEveryTime) {
  const std::vector<int> predicted = {1, 0, 1, 1, 0, 1}, gold = {1, 1, 0, 1, 0, 1};
  EXPECT_EQ(ComputeMetric("f1", predicted, gold).standard_error,
            ComputeMetric("f1", predicted, gold).standard_error);
}

TEST(MetricsTest, UnknownNameListsTheKnown) {
  EXPECT_THAT(ErrorOf([] { ComputeMetric("f2", {1}, {1}); }),
              HasSubstr("got \"f2\"; accepted: accuracy, f1"));
}

TEST(MetricsTest, UnequalLengthsAreABrokenInvariant) {
  EXPECT_THROW(ComputeMetric("accuracy", {1, 0}, {1}), std::logic_error);
  EXPECT_THROW(ComputeMetric("accuracy", {}, {}), std::logic_error);
}

TEST(MetricsTest, MajorityShare) {
  EXPECT_DOUBLE_EQ(MajorityShare({0, 2, 2, 1}), 0.5);
  EXPECT_DOUBLE_EQ(MajorityShare({1}), 1);
}

}  // namespace
}  // namespace thimble::data
