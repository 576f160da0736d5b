#include <gtest/gtest.h>

#include "base/config.h"
#include "optim/optimizer.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {
namespace {

std::vector<double> Factors(const std::string& text, int64_t steps) {
  proto::Schedule schedule;
  ParseText(text, "test", &schedule);
  std::vector<double> factors;
  for (int64_t step = 0; step < steps; ++step) factors.push_back(ScheduleFactor(schedule, step, steps));
  return factors;
}

void ExpectNear(const std::vector<double>& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12) << "step " << i;
}

TEST(Schedule, LinearRisesThenFalls) {
  ExpectNear(Factors("linear {warmup_fraction: 0.4}", 10),
             {.25, .5, .75, 1, 1, 5. / 6, 4. / 6, 3. / 6, 2. / 6, 1. / 6});
}

TEST(Schedule, ConstantRisesThenStays) {
  ExpectNear(Factors("constant {warmup_fraction: 0.4}", 10), {.25, .5, .75, 1, 1, 1, 1, 1, 1, 1});
}

TEST(Schedule, NoWarmupStartsAtTheFullRate) {
  ExpectNear(Factors("linear {warmup_fraction: 0}", 4), {1, .75, .5, .25});
  ExpectNear(Factors("constant {warmup_fraction: 0}", 3), {1, 1, 1});
}

TEST(Schedule, AllWarmupEndsAtTheFullRate) {
  ExpectNear(Factors("linear {warmup_fraction: 1}", 4), {.25, .5, .75, 1});
}

TEST(Schedule, WarmupIsRoundedDown) {
  ExpectNear(Factors("constant {warmup_fraction: 0.3}", 9), {.5, 1, 1, 1, 1, 1, 1, 1, 1});  // 2.7 steps: 2
  ExpectNear(Factors("linear {warmup_fraction: 0.1}", 5), {1, .8, .6, .4, .2});  // half a step: none
}

TEST(Schedule, WithoutAKindIsLinearWithTheDefaultWarmup) {
  EXPECT_EQ(Factors("", 50), Factors("linear {}", 50));
  EXPECT_DOUBLE_EQ(Factors("", 50)[0], 0.2);
}

TEST(Schedule, NoStepIsLostAndAfterTheEndIsNothing) {
  for (const char* text : {"linear {}", "constant {}", "linear {warmup_fraction: 0.99}"})
    for (const double factor : Factors(text, 1000)) EXPECT_TRUE(factor > 0 && factor <= 1) << text;
  EXPECT_EQ(ScheduleFactor({}, 10, 10), 0);
}

}  // namespace
}  // namespace thimble::optim
