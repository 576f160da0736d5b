// Heads and inner widths as choices, down to none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/config.h"
#include "base/error.h"
#include "models/arch/architecture.h"
#include "models/encoder/cost.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "search/space.h"
#include "tests/search/studies.h"

namespace thimble::search {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kLayer[] =
    "layer { mixer { self_attention {} } heads: [0, 2, 12] ffn { expression {} stacks: [1, 2] width: [64, 0, "
    "540] } } ";

std::string Refusal(const std::string& layer) {
  try {
    ValidateSpace(MakeStudy(layer, "STACKS", "", 2).space(), "space");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadRequest);
    return error.what();
  }
  return "accepted";
}

TEST(SpaceWidthsTest, HeadsStandInThePlaceOfSelfAttention) {
  const auto study = MakeStudy(kLayer, "[HEADS, WIDTH, STACKS]", "", 2);
  std::vector<std::string> mixers;
  const auto choices = LayerChoices(study.space(), 0);
  for (const auto& mixer : choices.mixer()) mixers.push_back(models::TextOf(mixer));
  EXPECT_THAT(mixers, ElementsAre("none", "self_attention { heads: 2 }", "self_attention"));
}

TEST(SpaceWidthsTest, EveryPointOnceAndCountedAsItIs) {
  // A layer without a block has one point for both numbers of stacks: 3 x (2 x 2 + 1) a layer.
  const auto study = MakeStudy(kLayer, "[HEADS, WIDTH, STACKS]", "", 2);
  const StageSpace space = MakeSpace(study);
  ASSERT_EQ(space.Points(), 225);
  std::set<std::string> all;
  for (int i = 0; i < 225; ++i) {
    const auto point = space.Point(i);
    all.insert(models::CanonicalArchitecture(point));
    EXPECT_EQ(space.Cost(point), models::DeployedParameters(models::Resolve(point), 2));
  }
  EXPECT_EQ(all.size(), 225u);
  const auto counted = space.CountFeasible();
  EXPECT_EQ(counted.points, 225);
  auto largest = LargestArchitecture(study.space(), kContext);
  for (auto& layer : *largest.mutable_layer()) {
    EXPECT_EQ(models::TextOf(layer.mixer()), "self_attention");  // although it is named later
    EXPECT_EQ(models::TextOf(layer.beside(0)), "none");
    EXPECT_EQ(layer.ffn().width(), 540);
    layer.clear_beside();
  }
  EXPECT_EQ(counted.largest, space.Cost(largest));
}

TEST(SpaceWidthsTest, LimitsAreKeptAndMutationsComeBackFromNothing) {
  const auto whole = MakeStudy(kLayer, "[HEADS, WIDTH, STACKS]", "", 3);
  const auto counted = MakeSpace(whole).CountFeasible();
  const auto middle = static_cast<int64_t>((counted.smallest + counted.largest) / 2);
  const auto study =
      MakeStudy(kLayer, "[EXPRESSION, HEADS, WIDTH, STACKS]", "max: " + std::to_string(middle), 3);
  const StageSpace space = MakeSpace(study);
  Random random(1);
  auto current = *space.Sample(&random);
  int without = 0, with = 0;
  for (int i = 0; i < 300; ++i) {
    EXPECT_TRUE(space.Feasible(current));
    EXPECT_LE(models::DeployedParameters(models::Resolve(current), 2), middle);
    for (const auto& layer : current.layer()) (layer.ffn().has_none() ? without : with)++;
    current = *space.Mutate(current, &random);
  }
  EXPECT_GT(without, 50);
  EXPECT_GT(with, 50);
}

TEST(SpaceWidthsTest, AWidthThatIsARatiosIsOneCandidate) {
  auto by_width = SeedArchitecture(MakeStudy(kLayer, "WIDTH", "", 2).space(), kContext), by_ratio = by_width;
  for (auto& layer : *by_width.mutable_layer()) layer.mutable_ffn()->set_width(270);
  for (auto& layer : *by_ratio.mutable_layer()) {
    layer.mutable_ffn()->clear_width();
    layer.mutable_ffn()->set_ratio("1/2");
  }
  EXPECT_EQ(models::CanonicalArchitecture(by_width), models::CanonicalArchitecture(by_ratio));
  for (auto& layer : *by_width.mutable_layer()) layer.mutable_ffn()->set_width(271);
  EXPECT_NE(models::CanonicalArchitecture(by_width), models::CanonicalArchitecture(by_ratio));
}

TEST(SpaceWidthsTest, ABlockSaysItsWidthOnce) {
  auto architecture = SeedArchitecture(MakeStudy(kLayer, "WIDTH", "", 2).space(), kContext);
  const auto refusal = [&](const std::string& ffn) {
    auto other = architecture;
    ParseText(ffn, "test", other.mutable_layer(1)->mutable_ffn());
    try {
      models::Resolve(other);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadRequest);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refusal("expression: 'linear(gelu(linear(x,wb1)),wb2)' ratio: '1/2' width: 64"),
              HasSubstr("layer[1].ffn.width: the inner width is given twice; got 64, and ratio 1/2"));
  EXPECT_THAT(refusal("none {} width: 64"), HasSubstr("there is no block to be so wide"));
  EXPECT_EQ(refusal("none {}"), "accepted");
}

TEST(SpaceWidthsTest, WhatDoesNotGoTogetherIsRefused) {
  const auto layer = [](const std::string& mixer, const std::string& ffn) {
    return "layer { " + mixer + " ffn { expression {} " + ffn + " } } ";
  };
  const std::string attention = "mixer { self_attention {} }";
  EXPECT_THAT(Refusal(layer(attention, "ratio: '1' width: 64")), HasSubstr("inner widths are given twice"));
  EXPECT_THAT(Refusal(layer(attention, "width: [64, 64]")), HasSubstr("a value stands twice"));
  EXPECT_THAT(Refusal(layer(attention + " heads: [1, 13]", "")),
              HasSubstr("more than the space has; got 13"));
  EXPECT_THAT(Refusal(layer(attention + " heads: [1, 1]", "")), HasSubstr("a value stands twice"));
  EXPECT_THAT(Refusal(layer("mixer { none {} } heads: [1, 2]", "")),
              HasSubstr("no mixer of this layer has heads"));
  EXPECT_THAT(Refusal(layer(attention + " mixer { none {} } heads: [0, 2]", "")),
              HasSubstr("a value stands twice"));
  EXPECT_EQ(Refusal(layer(attention + " heads: [0, 3]", "width: [0, 32]")), "accepted");
}

}  // namespace
}  // namespace thimble::search
