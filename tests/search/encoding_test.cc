#include "search/learners/encoding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "models/arch/architecture.h"
#include "tests/search/studies.h"

namespace thimble::search {
namespace {

using testing::Each;
using testing::ElementsAre;
using What = Encoding::What;

// Two hidden widths, one or two layers, two embeddings, heads and widths, 0 among them.
proto::Study Shapes(const std::string& vary = "[HEADS, WIDTH, HIDDEN, LAYERS, EMBEDDING]") {
  proto::Study study;
  ParseText(R"(teacher { model: "teacher" hidden: 48 } data { directory: "glue" task { mrpc {} } }
               recipe { optimizer { adamw { learning_rate: 1e-4 } } }
               space { hidden: [48, 36] heads: 4 head_width: 12 layers: [2, 1] vocabulary: 100 positions: 32
                       embedding { plain {} } embedding { trigram { width: 8 } }
                       layer { mixer { self_attention {} } heads: [4, 2, 0] ffn { expression {} stacks: [1, 3] width: [96, 32, 0] } } }
               stage { name: "only" evaluator { untrained {} } trials: 10 vary: )" +
                vary + "}",
            "study", &study);
  return study;
}

proto::Architecture WithExpression(proto::Architecture architecture, const std::string& expression) {
  for (auto& layer : *architecture.mutable_layer()) layer.mutable_ffn()->set_expression(expression);
  return architecture;
}

TEST(EncodingTest, AColumnForEachThingThatTheStageVaries) {
  const auto study = Shapes();
  const StageSpace space = MakeSpace(study);
  const Encoding encoding(space);
  std::vector<std::pair<What, int>> columns;
  for (const auto& column : encoding.columns()) columns.emplace_back(column.what, column.layer);
  EXPECT_THAT(columns, ElementsAre(std::pair(What::kHidden, -1), std::pair(What::kLayers, -1),
                                   std::pair(What::kEmbedding, -1), std::pair(What::kMixer, 0),
                                   std::pair(What::kInner, 0), std::pair(What::kMixer, 1),
                                   std::pair(What::kInner, 1)));
  const auto narrower = Shapes("[WIDTH]");
  const StageSpace fixed = MakeSpace(narrower);
  EXPECT_EQ(Encoding(fixed).columns().size(), 2u);
  EXPECT_EQ(Encoding(fixed).width(), 2);
}

TEST(EncodingTest, PointsDifferInTheirChoicesAndInTheirScaledNumbers) {
  const auto study = Shapes("[HEADS, WIDTH, STACKS, HIDDEN, LAYERS, EMBEDDING]");
  const StageSpace space = MakeSpace(study);
  const Encoding encoding(space);
  std::map<std::string, std::set<std::vector<int>>> choices;
  std::set<std::vector<int>> all;
  std::set<std::vector<double>> scaled;
  std::set<std::vector<float>> published;
  for (int i = 0; i < space.Points(); ++i) {
    const auto point = space.Point(i);
    all.insert(encoding.Choices(point));
    published.insert(encoding.Published(point));
    const auto numbers = encoding.Scaled(point);
    EXPECT_EQ(static_cast<int>(numbers.size()), encoding.width());
    EXPECT_THAT(numbers, Each(testing::AllOf(testing::Ge(0), testing::Le(1))));
    scaled.insert(numbers);
  }
  const auto points = static_cast<size_t>(space.Points());
  EXPECT_EQ(points, 4u * (15 + 225));
  EXPECT_EQ(all.size(), points);
  EXPECT_EQ(scaled.size(), points);
  EXPECT_EQ(published.size(), points);
}

TEST(EncodingTest, WhatIsNotThereHasNoPlace) {
  const auto study = Shapes("[HEADS, WIDTH, STACKS, LAYERS]");
  const StageSpace space = MakeSpace(study);
  const Encoding encoding(space);
  auto point = space.base();
  ASSERT_EQ(point.layer_size(), 2);
  // layers; mixer, stacks, inner width of each
  EXPECT_THAT(encoding.Choices(point), ElementsAre(0, 0, 0, 0, 0, 0, 0));
  point.mutable_layer(0)->mutable_ffn()->mutable_none();
  EXPECT_THAT(encoding.Choices(point), ElementsAre(0, 0, -1, 2, 0, 0, 0));
  point.mutable_layer()->RemoveLast();
  EXPECT_THAT(encoding.Choices(point), ElementsAre(1, 0, -1, 2, -1, -1, -1));
  // Of another space: nothing is among the values, numbers are at the nearest.
  auto other = space.base();
  other.mutable_layer(0)->mutable_ffn()->set_width(1000);
  EXPECT_THAT(encoding.Choices(other), ElementsAre(0, 0, 0, -1, 0, 0, 0));
  EXPECT_EQ(encoding.Scaled(other), encoding.Scaled(space.base()));
}

TEST(EncodingTest, HeadsAndKindsOfMixersStandApart) {
  const auto study = Shapes("[HEADS]");
  const StageSpace space = MakeSpace(study);
  const Encoding encoding(space);
  auto point = space.base();
  EXPECT_THAT(encoding.Scaled(point), ElementsAre(1, 0, 1, 1, 0, 1));  // attention, none, heads of 4
  point.mutable_layer(0)->mutable_mixer()->mutable_self_attention()->set_heads(2);
  point.mutable_layer(1)->mutable_mixer()->mutable_none();
  EXPECT_THAT(encoding.Scaled(point), ElementsAre(1, 0, 0.5, 0, 1, 0));
}

TEST(EncodingTest, OneHeadCountHasOneValueAtEveryHiddenWidth) {
  const auto study = Shapes();
  const StageSpace space = MakeSpace(study);
  const Encoding encoding(space);
  for (const auto& column : encoding.columns()) {
    if (column.what != What::kMixer) continue;
    EXPECT_THAT(column.numbers, testing::UnorderedElementsAre(4, 2, 0));
  }
}

TEST(EncodingTest, PublishedIsTheNumberOfTheBlockWhereExpressionsAreFixed) {
  const auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", "");
  const StageSpace space = MakeSpace(study);
  const Encoding encoding(space);
  auto point = space.base();
  EXPECT_THAT(encoding.Published(point), ElementsAre(0, 0, 0, 0, 0, 0));
  point.mutable_layer(1)->mutable_ffn()->set_ratio("1/3");
  point.mutable_layer(4)->mutable_ffn()->set_stacks(4);
  point.mutable_layer(5)->mutable_ffn()->set_stacks(4);
  point.mutable_layer(5)->mutable_ffn()->set_ratio("1/4");
  EXPECT_THAT(encoding.Published(point), ElementsAre(0, 2, 0, 0, 12, 15));
}

TEST(EncodingTest, PublishedIsThePreOrderOfTheTreeWithItsBlockWhereBothVary) {
  const auto study = MakeStudy(kAnyLayer, "[EXPRESSION, STACKS, RATIO]", "", 1);
  const StageSpace space = MakeSpace(study);
  const Encoding encoding(space);
  const auto of = [&](const std::string& expression, int stacks) {
    auto point = WithExpression(space.base(), expression);
    point.mutable_layer(0)->mutable_ffn()->set_stacks(stacks);
    auto features = encoding.Published(point);
    EXPECT_EQ(features.size(), 20u);
    return features;
  };
  const auto id = [](models::Operator op) { return static_cast<float>(op); };
  const auto linear = static_cast<float>(3 + models::Catalogue().size());
  std::vector<float> expected = {linear,
                                 id(models::Operator::kGelu),
                                 linear,
                                 id(models::Operator::kInput),
                                 id(models::Operator::kLinear1),
                                 id(models::Operator::kLinear2)};
  expected.resize(20, -1);
  EXPECT_EQ(of("linear(gelu(linear(x,wb1)),wb2)", 1), expected);
  expected[0] = expected[2] = linear + 8;
  EXPECT_EQ(of("linear(gelu(linear(x,wb1)),wb2)", 3), expected);
  expected[1] = id(models::Operator::kTanh);
  EXPECT_EQ(of("linear(tanh(linear(x,wb1)),wb2)", 3), expected);

  const auto alone = MakeStudy(kAnyLayer, "[EXPRESSION]", "", 1);
  const StageSpace expressions = MakeSpace(alone);
  EXPECT_EQ(Encoding(expressions).Published(expressions.base())[0], linear);
}

TEST(EncodingTest, ExpressionsAreToldApartByWhereTheirOperatorsStand) {
  const auto study = MakeStudy(kAnyLayer, "[EXPRESSION]", "", 1);
  const StageSpace space = MakeSpace(study);
  const Encoding encoding(space);
  std::set<std::vector<double>> all;
  const std::vector<std::string> different = {
      "linear(tanh(linear(x,wb1)),wb2)",
      "tanh(linear(gelu(linear(x,wb1)),wb2))",
      "gelu(linear(tanh(linear(x,wb1)),wb2))",
      "linear(gelu(linear(tanh(x),wb1)),wb2)",
      "linear(gelu(linear(max(x,tanh(x)),wb1)),wb2)",
      "max(linear(gelu(linear(x,wb1)),wb2),tanh(x))",
      "linear(mul(gelu(linear(x,wb1)),tanh(x)),wb2)",
  };
  for (const auto& expression : different)
    all.insert(encoding.Scaled(WithExpression(space.base(), expression)));
  EXPECT_EQ(all.size(), different.size());
  EXPECT_EQ(encoding.Scaled(WithExpression(space.base(), "linear(gelu(linear(max(tanh(x),x),wb1)),wb2)")),
            encoding.Scaled(WithExpression(space.base(), "linear(gelu(linear(max(x,tanh(x)),wb1)),wb2)")));
  // Drawn ones seldom share their numbers.
  Random random(1);
  std::set<std::string> drawn;
  all.clear();
  for (int i = 0; i < 500; ++i) {
    const auto point = *space.Sample(&random);
    if (drawn.insert(models::CanonicalArchitecture(point)).second) all.insert(encoding.Scaled(point));
  }
  EXPECT_GT(all.size(), 0.9 * drawn.size());
}

}  // namespace
}  // namespace thimble::search
