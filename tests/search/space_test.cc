#include "search/space.h"
#include "models/encoder/resolve.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "models/arch/architecture.h"
#include "models/encoder/cost.h"
#include "search/controller.h"
#include "search/feasible.h"
#include "tests/search/studies.h"

namespace thimble::search {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Block(const std::string& ffn, const std::string& at = "") {
  return "layer { " + at + " mixer { self_attention {} } ffn { " + ffn + " } } ";
}

std::string Refusal(const std::string& layer, int layers = 6) {
  try {
    ValidateSpace(MakeStudy(layer, "STACKS", "", layers).space(), "space");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadRequest);
    return error.what();
  }
  return "accepted";
}

// Everything that tells points of stacks and ratio apart.
std::string Shape(const proto::Architecture& architecture) {
  std::string text;
  for (const auto& layer : architecture.layer())
    text += std::to_string(layer.ffn().stacks()) + "_" + layer.ffn().ratio() + " ";
  return text;
}

TEST(SpaceTest, ThePublishedSpaceHasThePublishedSize) {
  const auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", kPaperLimit);
  const StageSpace space = MakeSpace(study);
  const Feasibility counted = space.CountFeasible();
  EXPECT_EQ(counted.points, 16777216);
  EXPECT_EQ(counted.feasible, 4480424);
  EXPECT_NEAR(counted.smallest, 12.71e6, 5000);
  EXPECT_NEAR(counted.largest, 25.88e6, 10000);
  EXPECT_EQ(counted.largest, space.Cost(LargestArchitecture(study.space(), kContext)));
  EXPECT_EQ(space.Points(), counted.feasible);
}

TEST(SpaceTest, LargestAndSeed) {
  const auto study = MakeStudy(
      Block("expression {} stacks: [2, 4, 1] ratio: ['1/3', '1', '1/2']") +
          Block("expression { seed: 'linear(relu(mul(linear(x,wb1),x)),wb2)' } stacks: 3 ratio: '1/2'",
                "at: [1, 5]"),
      "STACKS", "");
  EXPECT_EQ(Shape(LargestArchitecture(study.space(), kContext)), "4_1 3_1/2 4_1 4_1 4_1 3_1/2 ");
  const auto seed = SeedArchitecture(study.space(), kContext);
  EXPECT_EQ(Shape(seed), "2_1/3 3_1/2 2_1/3 2_1/3 2_1/3 3_1/2 ");
  EXPECT_EQ(seed.layer(0).ffn().expression(), "linear(gelu(linear(x,wb1)),wb2)");
  EXPECT_EQ(seed.layer(5).ffn().expression(), "linear(relu(mul(linear(x,wb1),x)),wb2)");
}

TEST(SpaceTest, EmptyChoicesTakeTheSchemasDefaults) {
  const auto space =
      MakeStudy(kAnyLayer + Block("expression { unary: tanh } stacks: 2", "at: 3"), "STACKS", "").space();
  const auto common = LayerChoices(space, 0).ffn(), third = LayerChoices(space, 3).ffn();
  EXPECT_THAT(common.stacks(), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(common.ratio(), ElementsAre("1", "1/2", "1/3", "1/4"));
  EXPECT_EQ(common.expression().unary_size(), 7);
  EXPECT_EQ(common.expression().binary_size(), 3);
  EXPECT_THAT(third.stacks(), ElementsAre(2));
  EXPECT_THAT(third.expression().unary(), ElementsAre(proto::ExpressionSpace::tanh));
  EXPECT_EQ(third.ratio_size(), 4);
}

TEST(SpaceTest, PoolerIsTheTeachersUnlessSaidOtherwise) {
  auto space = MakeStudy(kAnyLayer, "STACKS", "").space();
  EXPECT_EQ(models::Resolve(SeedArchitecture(space, {.teacher_hidden = 768})).pooler, 768);
  EXPECT_EQ(models::Resolve(SeedArchitecture(space, {.teacher_hidden = 0})).pooler, 540);
  space.set_pooler(128);
  EXPECT_EQ(models::Resolve(SeedArchitecture(space, {.teacher_hidden = 768})).pooler, 128);
}

TEST(SpaceTest, RefusalsSayWhereAndWhat) {
  EXPECT_EQ(Refusal(kAnyLayer), "accepted");
  EXPECT_THAT(Refusal(std::string(kAnyLayer) + kAnyLayer),
              HasSubstr("space.layer[1]: a second block without `at`"));
  EXPECT_THAT(Refusal(kAnyLayer + Block("expression {}", "at: [2, 2]")),
              HasSubstr("space.layer[1].at: a layer is named twice"));
  EXPECT_THAT(Refusal(kAnyLayer + Block("expression {}", "at: 1") + Block("expression {}", "at: 1")),
              HasSubstr("space.layer[2].at: a layer is named twice; got 1"));
  EXPECT_THAT(Refusal(kAnyLayer + Block("expression {}", "at: 6")), HasSubstr("got 6; accepted: 0 to 5"));
  EXPECT_THAT(Refusal(Block("expression {}", "at: [0, 2]"), 3), HasSubstr("no block speaks for layer 1"));
  EXPECT_EQ(Refusal(Block("expression {}", "at: [0, 1]"), 2), "accepted");
  EXPECT_THAT(Refusal(Block("expression {} stacks: [1, 2, 1]")),
              HasSubstr("space.layer[0].ffn.stacks: a value stands twice"));
  EXPECT_THAT(Refusal(Block("expression {} ratio: ['1', '2/3']")),
              HasSubstr("space.layer[0].ffn.ratio: a ratio is"));
  EXPECT_THAT(Refusal(Block("expression { min_height: 6 max_height: 5 }")),
              HasSubstr("min_height: is above max_height"));
  EXPECT_THAT(Refusal(Block("expression { seed: 'gelu(x)' }")), HasSubstr("expression.seed"));
  EXPECT_THAT(Refusal(Block("expression { seed: 'gelu(add(linear(x,wb1),gelu(linear(x,wb2))))' }")),
              HasSubstr("at ratio 1/2 the linear with wb2 takes 270 channels but gets 540"));
  auto odd = MakeStudy(kAnyLayer, "STACKS", "").space();
  odd.set_heads(7);
  EXPECT_THROW(ValidateSpace(odd, "space"), Error);
}

TEST(SpaceTest, UnsatisfiableConstraintNamesWhatTheSpaceOffers) {
  const auto refusal = [](const std::string& constraint, const std::string& vary,
                          const SpaceContext& context) {
    try {
      MakeSpace(MakeStudy(kAnyLayer, vary, constraint), context);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadRequest);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(
      refusal("min: 26000000 max: 27000000 counting: PAPER", "[STACKS, RATIO]", kContext),
      HasSubstr(
          "got 26000000 to 27000000 parameters (PAPER); accepted: what the space offers here: 12712014 to "
          "25875324 parameters (PAPER)"));
  // Inside the range, between two points.
  EXPECT_THAT(refusal("min: 12712015 max: 12712016 counting: PAPER", "[STACKS, RATIO]", kContext),
              HasSubstr("offers"));
  // Within reach of the space, but not of a stage that only varies expressions from 1_1 everywhere.
  EXPECT_THAT(refusal("min: 20000000 max: 21000000 counting: PAPER", "EXPRESSION", kContext),
              HasSubstr("15338844 to 15338844"));
  EXPECT_THAT(refusal("min: 2 max: 1", "STACKS", kContext),
              HasSubstr("constraint[0].parameters.min: is above max"));
  EXPECT_THAT(refusal(kPaperLimit, "STACKS", {.teacher_hidden = 0}), HasSubstr("PAPER counts a projection"));
  EXPECT_EQ(refusal(kPaperLimit, "STACKS", kContext), "accepted");
}

TEST(SpaceTest, CountingFollowsTheConstraint) {
  const auto paper = MakeSpace(MakeStudy(kAnyLayer, "STACKS", kPaperLimit));
  const auto deployed = MakeSpace(MakeStudy(kAnyLayer, "STACKS", ""));
  const auto seed = deployed.base();
  EXPECT_EQ(paper.Cost(seed), models::PaperParameters(models::Resolve(seed), 768));
  EXPECT_EQ(deployed.Cost(seed), models::DeployedParameters(models::Resolve(seed), 2));
  const auto free = deployed.CountFeasible();
  EXPECT_EQ(free.feasible, free.points);
}

TEST(SpaceTest, TwoConstraintsHoldTogether) {
  auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", kPaperLimit);
  ParseText("parameters { max: 15500000 }", "second", study.add_constraint());
  const StageSpace space = MakeSpace(study);
  EXPECT_LT(space.CountFeasible().feasible, 4480424);
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    const auto shape = models::Resolve(*space.Sample(&random));
    EXPECT_GE(models::PaperParameters(shape, 768), 15000000);
    EXPECT_LE(models::DeployedParameters(shape, 2), 15500000);
  }
}

TEST(SpaceTest, SamplesAreUniformOverFeasiblePoints) {
  // Two layers, 16 options each; every feasible point equally often, and no other.
  const auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", "min: 8500000 max: 9200000 counting: PAPER", 2);
  const StageSpace space = MakeSpace(study);
  const auto count = static_cast<int>(space.Points());
  ASSERT_GT(count, 20);
  ASSERT_LT(count, 200);
  std::set<std::string> all;
  for (int i = 0; i < count; ++i) {
    EXPECT_TRUE(space.Feasible(space.Point(i)));
    all.insert(Shape(space.Point(i)));
  }
  EXPECT_EQ(static_cast<int>(all.size()), count);
  Random random(3);
  std::map<std::string, int> seen;
  for (int i = 0; i < 100 * count; ++i) ++seen[Shape(*space.Sample(&random))];
  EXPECT_EQ(static_cast<int>(seen.size()), count);
  double chi_square = 0;
  for (const auto& [shape, n] : seen) {
    EXPECT_EQ(all.count(shape), 1u);
    chi_square += (n - 100.0) * (n - 100.0) / 100.0;
  }
  EXPECT_LT(chi_square, count - 1 + 5 * std::sqrt(2.0 * count));
}

TEST(SpaceTest, AnExpressionNeverFailsAtAnotherRatio) {
  const auto study = MakeStudy(kAnyLayer, "[EXPRESSION, STACKS, RATIO]", kPaperLimit);
  const StageSpace space = MakeSpace(study);
  Random random(4);
  std::set<std::string> different;
  for (int i = 0; i < 300; ++i) {
    auto candidate = *space.Sample(&random);
    EXPECT_TRUE(space.Feasible(candidate));
    different.insert(models::CanonicalArchitecture(candidate));
    for (const char* ratio : {"1", "1/2", "1/3", "1/4"}) {
      for (auto& layer : *candidate.mutable_layer()) layer.mutable_ffn()->set_ratio(ratio);
      EXPECT_NO_THROW(models::Resolve(candidate));
    }
  }
  EXPECT_EQ(different.size(), 300u);
  EXPECT_EQ(space.Points(), 0);
}

TEST(SpaceTest, AStageLeavesAloneWhatItDoesNotVary) {
  const auto all = MakeStudy(kAnyLayer, "[EXPRESSION, STACKS, RATIO]", kPaperLimit);
  Random random(5);
  const auto base = *MakeSpace(all).Sample(&random);
  for (const std::string vary : {"EXPRESSION", "STACKS", "RATIO"}) {
    const auto study = MakeStudy(kAnyLayer, vary, vary == "EXPRESSION" ? kPaperLimit : "");
    const StageSpace space(study, study.stage(0), base, kContext);
    for (int i = 0; i < 50; ++i) {
      const auto sampled = *space.Sample(&random), mutated = *space.Mutate(sampled, &random);
      for (const auto& candidate : {sampled, mutated})
        for (int layer = 0; layer < 6; ++layer) {
          const auto &now = candidate.layer(layer).ffn(), &was = base.layer(layer).ffn();
          if (vary != "EXPRESSION") EXPECT_EQ(now.expression(), was.expression());
          if (vary != "STACKS") EXPECT_EQ(now.stacks(), was.stacks());
          if (vary != "RATIO") EXPECT_EQ(now.ratio(), was.ratio());
        }
    }
  }
}

TEST(SpaceTest, NeighboursAreFeasibleNearAndNew) {
  const auto study = MakeStudy(kAnyLayer, "[EXPRESSION, STACKS, RATIO]", kPaperLimit);
  const StageSpace space = MakeSpace(study);
  Random random(6);
  auto at = *space.Sample(&random);
  int changes[4] = {};
  for (int i = 0; i < 300; ++i) {
    const auto next = *space.Mutate(at, &random);
    EXPECT_TRUE(space.Feasible(next));
    EXPECT_NE(models::CanonicalArchitecture(next), models::CanonicalArchitecture(at));
    int changed = 0;
    for (int layer = 0; layer < 6; ++layer) {
      const auto &a = at.layer(layer).ffn(), &b = next.layer(layer).ffn();
      changed += (a.expression() != b.expression()) + (a.stacks() != b.stacks()) + (a.ratio() != b.ratio());
    }
    ASSERT_GE(changed, 1);
    ASSERT_LE(changed, 3);
    ++changes[changed];
    at = next;
  }
  for (const int n : {1, 2, 3}) EXPECT_GT(changes[n], 20) << n;
}

TEST(SpaceTest, NothingToMutate) {
  const auto study = MakeStudy(Block("expression {} stacks: 2 ratio: '1/2'"), "[STACKS, RATIO]", "");
  const StageSpace space = MakeSpace(study);
  Random random(7);
  EXPECT_EQ(space.Points(), 1);
  EXPECT_FALSE(space.Mutate(space.base(), &random).has_value());
}

TEST(SpaceTest, CrossoverTakesEachLayerFromAParent) {
  const auto study = MakeStudy(kAnyLayer, "[EXPRESSION, STACKS, RATIO]", kPaperLimit);
  const StageSpace space = MakeSpace(study);
  Random random(8);
  const auto a = *space.Sample(&random), b = *space.Sample(&random);
  for (int i = 0; i < 50; ++i) {
    const auto child = space.Crossover(a, b, &random);
    ASSERT_TRUE(child.has_value());
    EXPECT_TRUE(space.Feasible(*child));
    for (int layer = 0; layer < 6; ++layer) {
      const std::string text = child->layer(layer).ShortDebugString();
      EXPECT_TRUE(text == a.layer(layer).ShortDebugString() || text == b.layer(layer).ShortDebugString());
    }
  }
  EXPECT_FALSE(space.Crossover(a, a, &random).has_value());
}

TEST(FeasiblePointsTest, AgreesWithEnumeration) {
  Random random(9);
  for (int round = 0; round < 100; ++round) {
    std::vector<std::vector<int64_t>> costs(4);
    for (auto& options : costs)
      for (uint64_t i = 1 + random.Below(4); i > 0; --i)
        options.push_back(static_cast<int64_t>(random.Below(30)));
    const int64_t low = static_cast<int64_t>(random.Below(60)),
                  high = low + static_cast<int64_t>(random.Below(20));
    std::set<std::vector<int>> expected;
    std::vector<int> at(4, 0);
    int points = 0;
    for (at[0] = 0; at[0] < static_cast<int>(costs[0].size()); ++at[0])
      for (at[1] = 0; at[1] < static_cast<int>(costs[1].size()); ++at[1])
        for (at[2] = 0; at[2] < static_cast<int>(costs[2].size()); ++at[2])
          for (at[3] = 0; at[3] < static_cast<int>(costs[3].size()); ++at[3]) {
            int64_t sum = 0;
            for (int i = 0; i < 4; ++i) sum += costs[i][at[i]];
            ++points;
            if (sum >= low && sum <= high) expected.insert(at);
          }
    const FeasiblePoints feasible(costs, low, high);
    EXPECT_EQ(feasible.points(), points);
    ASSERT_EQ(feasible.feasible(), expected.size());
    std::set<std::vector<int>> found;
    for (size_t i = 0; i < expected.size(); ++i) found.insert(feasible.Point(static_cast<double>(i)));
    EXPECT_EQ(found, expected);
  }
}

TEST(FeasiblePointsTest, ManyLayers) {
  std::vector<std::vector<int64_t>> costs(24);
  for (auto& options : costs)
    for (int64_t stacks = 1; stacks <= 4; ++stacks)
      for (const int width : {540, 270, 180, 135})
        options.push_back(stacks * (2 * 540 * width + width + 540 + 2 * 540));  // linears, biases, LayerNorm
  const FeasiblePoints unbounded(costs, 0, kUnbounded);
  EXPECT_EQ(unbounded.feasible(), std::pow(16.0, 24));
  const int64_t limit = unbounded.smallest() + 100000;
  const FeasiblePoints tight(costs, 0, limit);
  EXPECT_GT(tight.feasible(), 0);
  Random random(10);
  for (int i = 0; i < 100; ++i) {
    const auto point = tight.Draw(&random);
    int64_t sum = 0;
    for (size_t layer = 0; layer < 24; ++layer) sum += costs[layer][point[layer]];
    EXPECT_LE(sum, limit);
  }
  // In the middle there are too many points for exact doubles; draws still keep to the limits.
  const int64_t middle = (unbounded.smallest() + unbounded.largest()) / 2;
  const FeasiblePoints wide(costs, middle, middle + 10000);
  EXPECT_GT(wide.feasible(), 0x1p53);
  for (int i = 0; i < 100; ++i) {
    const auto point = wide.Draw(&random);
    int64_t sum = 0;
    for (size_t layer = 0; layer < 24; ++layer) sum += costs[layer][point[layer]];
    EXPECT_GE(sum, middle);
    EXPECT_LE(sum, middle + 10000);
  }
  EXPECT_TRUE(wide.exact());
}

TEST(FeasiblePointsTest, TooManySumsAreCountedOnAGrid) {
  std::vector<std::vector<int64_t>> costs(60);
  Random random(4);
  for (auto& options : costs)
    for (int i = 0; i < 40; ++i) options.push_back(static_cast<int64_t>(random.Below(1'000'000'000)));
  const int64_t limit = 20'000'000'000;
  const FeasiblePoints points(costs, 0, limit);
  EXPECT_FALSE(points.exact());
  EXPECT_GT(points.feasible(), 1);
  EXPECT_LT(points.feasible(), points.points());
  double nearest = 0;
  for (int i = 0; i < 200; ++i) {
    const auto point = points.Draw(&random);
    int64_t sum = 0;
    for (size_t place = 0; place < costs.size(); ++place) sum += costs[place][point[place]];
    EXPECT_LE(sum, limit);
    nearest = std::max(nearest, static_cast<double>(sum));
  }
  EXPECT_GT(nearest, 0.97 * static_cast<double>(limit));  // 60 roundings of 1/4096 each lose no more
}

// Every file in configs/ is what a user may run: it parses, and each stage has candidates.
TEST(ConfigsTest, EveryShippedFileIsValid) {
  int studies = 0;
  for (const std::string& path : Glob(THIMBLE_SOURCE_DIR "/configs/*.textproto")) {
    SCOPED_TRACE(path);
    if (ReadFile(path).find("# proto-message: thimble.proto.Study\n") == std::string::npos) continue;
    ++studies;
    proto::Study study;
    ASSERT_NO_THROW(ReadText(path, &study));
    const SpaceContext context{.classes = 2, .teacher_hidden = study.teacher().hidden()};
    ASSERT_NO_THROW(ValidateStudy(study, context, path));
    std::map<std::string, proto::Architecture> found;
    Random random(11);
    for (const auto& stage : study.stage()) {
      const auto base = stage.has_from() ? found.at(stage.from()) : SeedArchitecture(study.space(), context);
      const StageSpace space(study, stage, base, context);
      found[stage.name()] = *space.Sample(&random);
      EXPECT_TRUE(space.Feasible(found[stage.name()]));
    }
  }
  EXPECT_GE(studies, 2);
}

TEST(ConfigsTest, EfficientBertIsThePublishedSpace) {
  proto::Study study;
  ReadText(THIMBLE_SOURCE_DIR "/configs/efficientbert.textproto", &study);
  const StageSpace space = MakeSpace(study);
  EXPECT_EQ(space.CountFeasible().feasible, 4480424);
  ASSERT_EQ(study.stage_size(), 3);
  ReadText(THIMBLE_SOURCE_DIR "/configs/efficientbert_tiny.textproto", &study);
  const StageSpace tiny = MakeSpace(study);
  auto published = tiny.base();
  const std::pair<int, const char*> shape[] = {{4, "1/2"}, {2, "1"},   {1, "1/2"},
                                               {2, "1/2"}, {1, "1/2"}, {2, "1/3"}};
  for (int i = 0; i < 6; ++i) {
    published.mutable_layer(i)->mutable_ffn()->set_stacks(shape[i].first);
    published.mutable_layer(i)->mutable_ffn()->set_ratio(shape[i].second);
  }
  EXPECT_NEAR(tiny.Cost(published), 9.375e6, 500);
  EXPECT_TRUE(tiny.Feasible(published));
}

}  // namespace
}  // namespace thimble::search
