#include "search/one_size.h"
#include "models/encoder/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/config.h"
#include "base/error.h"
#include "models/encoder/cost.h"

namespace thimble::search {
namespace {

// MiniLM's shape.
models::ResolvedArchitecture Teacher() {
  models::ResolvedArchitecture shape;
  shape.vocabulary = 30522;
  shape.positions = 512;
  shape.segments = 2;
  shape.hidden = 384;
  shape.heads = 12;
  shape.pooler = 384;
  shape.layer_norm_epsilon = 1e-12;
  return shape;
}

OneSize Wanted() {
  return {
      .parameters = 6900000, .tolerance = 0.1, .layers = {6, 4, 3}, .hidden = {156, 192, 240}, .together = 2};
}

TEST(OneSize, KeepsTheSizeAndVariesTheRest) {
  const auto drawn = DrawOfOneSize(Teacher(), Wanted(), 30, Random(1));
  ASSERT_EQ(drawn.size(), 30u);
  std::set<std::string> hashes, expressions, ratios;
  std::set<int> widths, stacks;
  for (size_t i = 0; i < drawn.size(); ++i) {
    const auto shape = models::Resolve(drawn[i]);
    const auto count = static_cast<double>(models::DeployedParameters(shape, 2));
    EXPECT_GE(count, 0.9 * 6900000);
    EXPECT_LE(count, 1.1 * 6900000);
    EXPECT_EQ(shape.layers.size(), (std::vector<size_t>{6, 4, 3}[i / 2 % 3]));
    EXPECT_EQ(shape.pooler, 384);
    EXPECT_EQ(shape.heads, 12);
    widths.insert(shape.hidden);
    hashes.insert(models::ArchitectureHash(drawn[i]));
    for (const auto& layer : drawn[i].layer()) {
      expressions.insert(layer.ffn().expression());
      ratios.insert(layer.ffn().ratio());
      stacks.insert(layer.ffn().stacks());
    }
  }
  EXPECT_EQ(hashes.size(), 30u);
  EXPECT_GT(expressions.size(), 30u);
  EXPECT_EQ(ratios.size(), 4u);
  EXPECT_EQ(stacks, (std::set<int>{1, 2, 3, 4}));
  EXPECT_EQ(widths, (std::set<int>{156, 192, 240}));
}

TEST(OneSize, MoreAreTheSameAndThenOthers) {
  const auto few = DrawOfOneSize(Teacher(), Wanted(), 3, Random(1)),
             more = DrawOfOneSize(Teacher(), Wanted(), 6, Random(1)),
             other = DrawOfOneSize(Teacher(), Wanted(), 3, Random(2));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(CanonicalText(few[i]), CanonicalText(more[i]));
    EXPECT_NE(CanonicalText(few[i]), CanonicalText(other[i]));
  }
}

TEST(OneSize, SaysWhichDepthCannotHaveTheSize) {
  auto wanted = Wanted();
  wanted.parameters = 3000000;  // less than the token table
  try {
    DrawOfOneSize(Teacher(), wanted, 1, Random(1));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("6 layers"));
  }
}

}  // namespace
}  // namespace thimble::search
