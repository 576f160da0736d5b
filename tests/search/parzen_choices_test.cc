#include "search/learners/parzen_choices.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "base/files.h"

namespace thimble::search {
namespace {

// tests/golden/parzen.py
TEST(ParzenChoicesTest, AsOptuna) {
  const auto golden =
      nlohmann::json::parse(ReadFile(std::string(THIMBLE_SOURCE_DIR) + "/tests/golden/parzen.json"));
  int compared[2] = {0, 0};
  for (const auto& each : golden.at("cases")) {
    const auto seen = each.at("seen").get<std::vector<int>>();
    const int choices = each.at("choices");
    for (const bool ordered : {false, true}) {
      if (!each.contains(ordered ? "ordered" : "categorical")) continue;
      ++compared[ordered];
      const auto expected = each.at(ordered ? "ordered" : "categorical").get<std::vector<double>>();
      const auto shares = ordered ? OrderedParzenShares(seen, choices) : ParzenShares(seen, choices);
      ASSERT_EQ(shares.size(), expected.size());
      for (int i = 0; i < choices; ++i)
        EXPECT_NEAR(shares[i], expected[i], 1e-9)
            << (ordered ? "ordered " : "") << i << " of " << choices << ", seen " << each.at("seen");
      EXPECT_NEAR(std::accumulate(shares.begin(), shares.end(), 0.0), 1, 1e-12);
    }
  }
  EXPECT_EQ(compared[0], 10);
  EXPECT_EQ(compared[1], 8);
}

}  // namespace
}  // namespace thimble::search
