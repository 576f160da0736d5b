#include "train/divergence.h"

#include <gtest/gtest.h>

#include <cmath>

namespace thimble::train {
namespace {

models::Model Head(int classes, models::TaskHead head) {
  models::Model model;
  model.classes = classes;
  model.head = head;
  return model;
}

TEST(DivergenceTest, OfClassesIsKl) {
  // Shares 0.5, 0.25, 0.25 and 0.25, 0.5, 0.25; whatever is added to all logits of a row says nothing.
  const double a = std::log(0.5), b = std::log(0.25);
  const auto found = Divergences({{a, b, b}, {a, b, b}}, {{b + 7, a + 7, b + 7}, {a, b, b}},
                                 Head(3, models::TaskHead::kPooled));
  EXPECT_NEAR(found[0], 0.5 * std::log(2.0) - 0.25 * std::log(2.0), 1e-12);
  EXPECT_NEAR(found[1], 0, 1e-12);
}

TEST(DivergenceTest, OfANumberIsTheSquaredDifference) {
  EXPECT_DOUBLE_EQ(Divergences({{3.5}}, {{2}}, Head(1, models::TaskHead::kPooled))[0], 2.25);
}

TEST(DivergenceTest, OfASpanIsTheMeanOverBeginningAndEnd) {
  // Two tokens, beginning and end side by side: the beginning alone differs.
  const double a = std::log(0.8), b = std::log(0.2);
  const auto found = Divergences({{a, 1, b, 1}}, {{b, 5, a, 5}}, Head(2, models::TaskHead::kTokens));
  EXPECT_NEAR(found[0], 0.5 * (0.8 * std::log(4.0) - 0.2 * std::log(4.0)), 1e-12);
}

}  // namespace
}  // namespace thimble::train
