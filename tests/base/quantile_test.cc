#include "base/quantile.h"

#include <gtest/gtest.h>

namespace thimble {
namespace {

// numpy.quantile([3, 1, 2, 10], [0, 0.25, 0.5, 0.9, 1])
TEST(QuantileTest, InterpolatesAsNumPy) {
  const std::vector<double> values = {3, 1, 2, 10};
  EXPECT_DOUBLE_EQ(Quantile(values, 0), 1);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.25), 1.75);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.9), 7.9);
  EXPECT_DOUBLE_EQ(Quantile(values, 1), 10);
  EXPECT_DOUBLE_EQ(Quantile({7}, 0.9), 7);
}

}  // namespace
}  // namespace thimble
