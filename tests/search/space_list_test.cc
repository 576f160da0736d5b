// Spaces that are lists.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/config.h"
#include "base/error.h"
#include "models/arch/architecture.h"
#include "search/space.h"

namespace thimble::search {
namespace {

using testing::HasSubstr;

proto::Architecture Make(int hidden, const std::vector<std::pair<int, int>>& heads_and_widths) {
  proto::Architecture architecture;
  const std::string width = std::to_string(hidden);  // blocks' base width is that, too
  ParseText("heads: 4 embedding { plain {} } hidden: " + width + " ffn_hidden: " + width, "architecture",
            &architecture);
  for (const auto& [heads, width] : heads_and_widths)
    ParseText("mixer { self_attention { heads: " + std::to_string(heads) +
                  " } } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' width: " + std::to_string(width) +
                  " }",
              "layer", architecture.add_layer());
  return architecture;
}

std::string Text(const proto::Architecture& architecture) {
  return models::CanonicalArchitecture(architecture);
}

const std::vector<proto::Architecture> kListed = {
    Make(64, {{4, 128}, {4, 128}}), Make(64, {{4, 128}, {4, 64}}), Make(64, {{2, 128}, {4, 64}}),
    Make(64, {{2, 32}, {2, 32}}),   Make(32, {{2, 32}, {2, 32}}),  Make(32, {{2, 32}}),
};

StageSpace Space() { return StageSpace::OfList(kListed, {}, "table"); }

TEST(SpaceListTest, HoldsTheListedAlone) {
  const StageSpace space = Space();
  ASSERT_EQ(space.Points(), 6);
  std::set<std::string> points, listed;
  for (int i = 0; i < 6; ++i) {
    points.insert(Text(space.Point(i)));
    listed.insert(Text(kListed[i]));
    EXPECT_TRUE(space.Feasible(kListed[i]));
  }
  EXPECT_EQ(points, listed);
  EXPECT_FALSE(space.Feasible(Make(64, {{4, 64}, {4, 128}})));  // of listed parts
}

TEST(SpaceListTest, DrawsEachAsOften) {
  const StageSpace space = Space();
  Random random(1);
  std::map<std::string, int> drawn;
  for (int i = 0; i < 6000; ++i) ++drawn[Text(*space.Sample(&random))];
  ASSERT_EQ(drawn.size(), 6u);
  for (const auto& [text, count] : drawn) EXPECT_NEAR(count, 1000, 130) << text;  // 4.5 standard deviations
}

TEST(SpaceListTest, NeighboursAreTheNearest) {
  const StageSpace space = Space();
  Random random(1);
  std::map<std::string, int> drawn;
  for (int i = 0; i < 300; ++i) ++drawn[Text(*space.Mutate(kListed[0], &random))];
  // In one field, in two, in four: a third each. Further ones, and itself, never.
  EXPECT_EQ(drawn.size(), 3u);
  for (int i = 1; i <= 3; ++i) EXPECT_NEAR(drawn[Text(kListed[i])], 100, 37) << i;
}

TEST(SpaceListTest, ACrossIsTheListedOneNearestToIt) {
  const StageSpace space = Space();
  Random random(1);
  // Of 0 and 2: (4, 128)(4, 64) is listed, (2, 128)(4, 128) differs from 1 in two fields, from 3 in four.
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(Text(*space.Crossover(kListed[0], kListed[2], &random)), Text(kListed[1]));
  EXPECT_FALSE(space.Crossover(kListed[0], kListed[4], &random));
}

TEST(SpaceListTest, NearestIsItselfOrTheNearest) {
  const StageSpace space = Space();
  Random random(1);
  EXPECT_EQ(Text(*space.Nearest(kListed[3], &random)), Text(kListed[3]));
  // One field from two of them: either.
  std::set<std::string> nearest;
  for (int i = 0; i < 50; ++i) nearest.insert(Text(*space.Nearest(Make(64, {{4, 128}, {4, 32}}), &random)));
  EXPECT_EQ(nearest, (std::set<std::string>{Text(kListed[0]), Text(kListed[1])}));
  EXPECT_EQ(Text(*space.Nearest(Make(32, {{2, 64}}), &random)), Text(kListed[5]));
}

TEST(SpaceListTest, RefusesWhatNoStageVaries) {
  auto other = kListed;
  other[1].set_vocabulary(7);
  try {
    StageSpace::OfList(other, {}, "table");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), 2);
    EXPECT_THAT(error.what(), HasSubstr("table[1]"));
    EXPECT_THAT(error.what(), HasSubstr("vocabulary: 7"));
  }
  EXPECT_THROW(StageSpace::OfList({}, {}, "table"), Error);
}

}  // namespace
}  // namespace thimble::search
