#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "search/controller.h"
#include "search/strategy.h"
#include "tests/search/studies.h"

namespace thimble::search {
namespace {

proto::Strategy Spec() {
  proto::Strategy spec;
  spec.mutable_grid();
  return spec;
}

TEST(GridTest, AFewLieEvenlyAndEveryLayerVaries) {
  const StageSpace space = MakeSpace(MakeStudy(kAnyLayer, "[STACKS, RATIO]", "", 4));  // 16^4 points
  constexpr int kTrials = 64;
  const auto suggestions = MakeStrategy(Spec(), space, Random(1))->Suggest(kTrials);
  std::vector<std::set<std::string>> blocks(4);
  for (const auto& architecture : suggestions)
    for (int i = 0; i < 4; ++i) blocks[i].insert(architecture.layer(i).ffn().SerializeAsString());
  for (int i = 0; i < 4; ++i) EXPECT_GE(blocks[i].size(), 12u) << "layer " << i;
  // The first layer runs slowest: 64 even points give each of its blocks four, or one more or less.
  for (const auto& block : blocks[0]) {
    const auto count = std::count_if(suggestions.begin(), suggestions.end(), [&](const auto& architecture) {
      return architecture.layer(0).ffn().SerializeAsString() == block;
    });
    EXPECT_GE(count, 3);
    EXPECT_LE(count, 5);
  }
}

TEST(GridTest, SkipsWhatASecondLimitForbids) {
  auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", "min: 8500000 max: 9200000 counting: PAPER", 2);
  study.add_constraint()->mutable_multiply_adds()->set_max(330000000);
  const StageSpace space = MakeSpace(study);
  int feasible = 0;
  for (int i = 0; i < space.Points(); ++i) feasible += space.Feasible(space.Point(i));
  ASSERT_GT(feasible, 0);
  ASSERT_LT(feasible, space.Points());
  const auto strategy = MakeStrategy(Spec(), space, Random(1));
  int suggested = 0;
  for (const auto& architecture : strategy->Suggest(1000)) suggested += space.Feasible(architecture);
  EXPECT_EQ(suggested, feasible);
}

TEST(GridTest, RefusesExpressions) {
  auto study = MakeStudy(kAnyLayer, "[EXPRESSION, STACKS]", "");
  study.mutable_warmup()->mutable_sliced();
  *study.mutable_stage(0)->mutable_strategy() = Spec();
  try {
    ValidateStudy(study, kContext, "study");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), 2);
    EXPECT_THAT(error.what(), testing::HasSubstr("stage[0].strategy.grid"));
  }
}

}  // namespace
}  // namespace thimble::search
