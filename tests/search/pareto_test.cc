#include "search/pareto.h"

#include <gmock/gmock.h>

#include "base/random.h"

namespace thimble::search {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ParetoTest, ByRisingCostWithoutTheDominated) {
  EXPECT_THAT(ParetoFront({{0.9, 30}, {0.7, 10}, {0.6, 12}, {0.8, 20}, {0.8, 25}, {0.95, 31}}),
              ElementsAre(1, 3, 0, 5));
}

TEST(ParetoTest, EqualPointsStandOnce) {
  EXPECT_THAT(ParetoFront({{0.5, 10}, {0.5, 10}, {0.5, 11}, {0.4, 10}}), ElementsAre(0));
  EXPECT_THAT(ParetoFront({}), IsEmpty());
}

TEST(ParetoTest, AgreesWithTheDefinition) {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<Point> points(12);
    for (Point& p : points) p = {static_cast<double>(random.Below(6)), static_cast<double>(random.Below(6))};
    std::vector<int> expected;
    for (int i = 0; i < 12; ++i) {
      bool beaten = false;
      for (int j = 0; j < 12; ++j) {
        const bool as_good = points[j].quality >= points[i].quality && points[j].cost <= points[i].cost;
        const bool equal = points[j].quality == points[i].quality && points[j].cost == points[i].cost;
        beaten |= as_good && (!equal || j < i);
      }
      if (!beaten) expected.push_back(i);
    }
    std::sort(expected.begin(), expected.end(),
              [&](int a, int b) { return points[a].cost < points[b].cost; });
    EXPECT_EQ(ParetoFront(points), expected);
  }
}

}  // namespace
}  // namespace thimble::search
