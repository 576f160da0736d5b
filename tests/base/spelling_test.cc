#include "base/spelling.h"

#include <gtest/gtest.h>

namespace thimble {
namespace {

const std::vector<std::string> kNames = {"search", "show", "slice", "evaluate", "--learning-rate", "--rows"};

TEST(SpellingTest, FindsTheNearestName) {
  EXPECT_EQ(NearestName("serach", kNames), "search");  // two neighbours swapped
  EXPECT_EQ(NearestName("sarch", kNames), "search");
  EXPECT_EQ(NearestName("searrch", kNames), "search");
  EXPECT_EQ(NearestName("shaw", kNames), "show");
  EXPECT_EQ(NearestName("evalute", kNames), "evaluate");
  EXPECT_EQ(NearestName("--lerning-rate", kNames), "--learning-rate");
  EXPECT_EQ(NearestName("--row", kNames), "--rows");
  EXPECT_EQ(NearestName("show", kNames), "show");
}

TEST(SpellingTest, WhatIsFarFromAllIsNearNone) {
  EXPECT_EQ(NearestName("", kNames), "");
  EXPECT_EQ(NearestName("train", kNames), "");
  EXPECT_EQ(NearestName("x", kNames), "");
  EXPECT_EQ(NearestName(std::string(1 << 20, 's'), kNames), "");
  EXPECT_EQ(NearestName("show", {}), "");
}

TEST(SpellingTest, OfEquallyNearNamesTheFirst) {
  EXPECT_EQ(NearestName("rade", {"rate", "rare", "rude"}), "rate");
}

TEST(SpellingTest, EndsAMessage) {
  EXPECT_EQ(DidYouMean("serach", kNames), "; did you mean search?");
  EXPECT_EQ(DidYouMean("train", kNames), "");
}

}  // namespace
}  // namespace thimble
