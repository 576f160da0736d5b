#include "base/difference.h"

#include <gtest/gtest.h>

#include <cmath>

namespace thimble {
namespace {

TEST(DifferenceTest, IsPaired) {
  const Difference difference = PairedDifference({1, 2, 3, 4}, {0, 2, 2, 2});  // 1 0 1 2
  EXPECT_DOUBLE_EQ(difference.mean, 1);
  EXPECT_NEAR(difference.standard_error, std::sqrt(2.0 / 3 / 4), 1e-12);
}

}  // namespace
}  // namespace thimble
