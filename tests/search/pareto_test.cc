#include "search/pareto.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/random.h"

namespace thimble::search {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Few values each, so that points share some.
std::vector<Costs> Draw(int count, int costs, Random* random) {
  std::vector<Costs> points(count);
  for (Costs& point : points)
    for (int i = 0; i < costs; ++i) point.push_back(static_cast<double>(random->Below(6)));
  return points;
}

TEST(ParetoTest, ByRisingLastCostWithoutTheDominated) {
  EXPECT_THAT(ParetoFront({{-0.9, 30}, {-0.7, 10}, {-0.6, 12}, {-0.8, 20}, {-0.8, 25}, {-0.95, 31}}),
              ElementsAre(1, 3, 0, 5));
}

TEST(ParetoTest, EqualPointsStandOnce) {
  EXPECT_THAT(ParetoFront({{-0.5, 10}, {-0.5, 10}, {-0.5, 11}, {-0.4, 10}}), ElementsAre(0));
  EXPECT_THAT(ParetoFront({}), IsEmpty());
}

TEST(ParetoTest, FrontsAgreeWithTheDefinition) {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    const int costs = 2 + round % 2;
    const auto points = Draw(12, costs, &random);
    const auto fronts = FrontsOf(points);
    std::vector<int> first;
    for (int i = 0; i < 12; ++i) {
      // The greatest front of a point that dominates it, and one more.
      int above = -1;
      bool earlier = false;
      for (int j = 0; j < 12; ++j) {
        bool as_good = true;
        for (int k = 0; k < costs; ++k) as_good = as_good && points[j][k] <= points[i][k];
        const bool equal = points[j] == points[i];
        if (as_good && !equal) above = std::max(above, fronts[j]);
        earlier = earlier || (equal && j < i);
      }
      EXPECT_EQ(fronts[i], above + 1);
      if (above < 0 && !earlier) first.push_back(i);
    }
    auto front = ParetoFront(points);
    EXPECT_TRUE(std::is_sorted(front.begin(), front.end(),
                               [&](int a, int b) { return points[a].back() < points[b].back(); }));
    std::sort(front.begin(), front.end());
    EXPECT_EQ(front, first);
  }
}

// Counts the unit cubes that some point dominates.
TEST(ParetoTest, HypervolumeIsWhatIsDominated) {
  Random random(2);
  for (int round = 0; round < 100; ++round) {
    const int costs = 2 + round % 2;
    const auto points = Draw(1 + round % 9, costs, &random);
    const Costs reference = costs == 2 ? Costs{5, 4} : Costs{5, 4, 3};
    double volume = 0;
    for (double x = 0; x < 5; ++x)
      for (double y = 0; y < 4; ++y)
        for (double z = 0; z < (costs == 2 ? 1 : 3); ++z)
          volume += std::any_of(points.begin(), points.end(), [&](const Costs& point) {
            return point[0] <= x && point[1] <= y && (costs == 2 || point[2] <= z);
          });
    EXPECT_DOUBLE_EQ(Hypervolume(points, reference), volume);
  }
  EXPECT_EQ(Hypervolume({}, {1, 1}), 0);
}

// tests/golden/pareto.py
TEST(ParetoTest, AsPymoo) {
  const auto golden =
      nlohmann::json::parse(ReadFile(std::string(THIMBLE_SOURCE_DIR) + "/tests/golden/pareto.json"));
  ASSERT_EQ(golden.at("cases").size(), 2u);
  for (const auto& each : golden.at("cases")) {
    const auto points = each.at("points").get<std::vector<Costs>>();
    const auto fronts = each.at("fronts").get<std::vector<int>>();
    EXPECT_EQ(FrontsOf(points), fronts);
    int compared = 0;
    for (int front = 0; front <= *std::max_element(fronts.begin(), fronts.end()); ++front) {
      std::vector<Costs> on;
      std::vector<double> expected;
      for (size_t i = 0; i < points.size(); ++i) {
        if (fronts[i] != front) continue;
        on.push_back(points[i]);
        const auto& distance = each.at("distances").at(i);
        expected.push_back(distance.is_null() ? HUGE_VAL : distance.get<double>());
      }
      const auto distances = CrowdingDistances(on);
      for (size_t k = 0; k < on.size(); ++k) {
        compared += std::isfinite(expected[k]);
        EXPECT_DOUBLE_EQ(distances[k], expected[k]);
      }
    }
    EXPECT_GT(compared, 10);
    for (const auto& volume : each.at("hypervolumes"))
      EXPECT_NEAR(Hypervolume(points, volume.at("reference").get<Costs>()), volume.at("volume").get<double>(),
                  1e-12);
  }
}

TEST(ParetoTest, BestWithinLimits) {
  const std::vector<Costs> points = {{-0.9, 30, 7}, {-0.8, 20, 9}, {-0.7, 10, 9}, {-0.8, 20, 1}};
  EXPECT_EQ(BestWithin(points, {HUGE_VAL, HUGE_VAL, HUGE_VAL}), 0);
  EXPECT_EQ(BestWithin(points, {HUGE_VAL, 20, HUGE_VAL}), 1);  // the first of equals
  EXPECT_EQ(BestWithin(points, {HUGE_VAL, 29, 8}), 3);
  EXPECT_EQ(BestWithin(points, {HUGE_VAL, 9, HUGE_VAL}), -1);
}

}  // namespace
}  // namespace thimble::search
