#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <cmath>

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

TEST(Schedule, CosineFallsToItsEnd) {
  const double quarter = 0.5 + 0.5 * std::sqrt(0.5);
  ExpectNear(Factors("cosine {warmup_fraction: 0.2}", 10),
             {.5, 1, 1, 0.5 * (1 + std::cos(M_PI / 8)), quarter, 0.5 * (1 + std::cos(3 * M_PI / 8)), .5,
              0.5 * (1 + std::cos(5 * M_PI / 8)), 1 - quarter, 0.5 * (1 + std::cos(7 * M_PI / 8))});
  ExpectNear(Factors("cosine {warmup_fraction: 0 end: 0.2}", 4),
             {1, .2 + .8 * quarter, .2 + .8 * .5, .2 + .8 * (1 - quarter)});
}

TEST(Schedule, PolynomialFallsToItsEnd) {
  ExpectNear(Factors("polynomial {warmup_fraction: 0.2}", 5), {1, 1, 9. / 16, 4. / 16, 1. / 16});
  ExpectNear(Factors("polynomial {warmup_fraction: 0 power: 1 end: 0.5}", 4), {1, .875, .75, .625});
  EXPECT_EQ(Factors("polynomial {power: 1}", 50), Factors("linear {}", 50));
}

TEST(Schedule, InverseSquareRootGoesOnFromTheWarmup) {
  ExpectNear(Factors("inverse_sqrt {warmup_fraction: 0.4}", 10),
             {.25, .5, .75, 1, std::sqrt(4. / 5), std::sqrt(4. / 6), std::sqrt(4. / 7), std::sqrt(4. / 8),
              std::sqrt(4. / 9), std::sqrt(4. / 10)});
  ExpectNear(Factors("inverse_sqrt {warmup_fraction: 0}", 4), {1, std::sqrt(.5), std::sqrt(1. / 3), .5});
}

TEST(Schedule, EveryKindIsPureAndWarmsUp) {
  const auto* kind = proto::Schedule::descriptor()->FindOneofByName("kind");
  for (int i = 0; i < kind->field_count(); ++i) {
    const std::string name = kind->field(i)->name();
    const auto factors = Factors(name + " {warmup_fraction: 0.3}", 40);
    EXPECT_EQ(factors, Factors(name + " {warmup_fraction: 0.3}", 40));
    for (int step = 0; step < 12; ++step) EXPECT_DOUBLE_EQ(factors[step], (step + 1) / 12.0) << name;
    for (int step = 13; step < 40; ++step) EXPECT_LE(factors[step], factors[step - 1]) << name;
  }
}

TEST(Schedule, NoStepIsLostAndAfterTheEndIsNothing) {
  for (const char* text : {"linear {}", "constant {}", "linear {warmup_fraction: 0.99}", "cosine {}",
                           "polynomial {}", "inverse_sqrt {}"})
    for (const double factor : Factors(text, 1000)) EXPECT_TRUE(factor > 0 && factor <= 1) << text;
  EXPECT_EQ(ScheduleFactor({}, 10, 10), 0);
}

}  // namespace
}  // namespace thimble::optim
