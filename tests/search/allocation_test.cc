// Allocations stay within their budget, and the plan is the best there is.
#include "search/allocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace thimble::search {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::SizeIs;

using Lists = std::vector<std::vector<double>>;

// Heads cost 30, 16 neurons 10; the last layer half of that, as where one token is read.
AllocationCosts Costs(int layers, int heads, int steps) {
  AllocationCosts costs{.neuron_step = 16, .fixed = 100};
  for (int i = 0; i < layers; ++i) {
    const double share = i + 1 == layers ? 0.5 : 1;
    auto& of_heads = costs.heads.emplace_back();
    for (int k = 0; k <= heads; ++k) of_heads.push_back(30 * k * share);
    auto& of_neurons = costs.neurons.emplace_back();
    for (int k = 0; k <= steps; ++k) of_neurons.push_back(10 * k * share);
  }
  return costs;
}

// Falling, convex and not, different for each layer.
Lists Damages(const Lists& costs, uint64_t seed) {
  Random random(seed);
  Lists damages;
  for (const auto& block : costs) {
    auto& damage = damages.emplace_back(block.size());
    for (size_t k = block.size() - 1; k-- > 0;) damage[k] = damage[k + 1] + random.Uniform() * random.Uniform();
  }
  return damages;
}

double DamageOf(const Lists& heads, const Lists& neurons, const Allocation& allocation, int step) {
  double sum = 0;
  for (size_t i = 0; i < heads.size(); ++i) sum += heads[i][allocation.heads[i]] + neurons[i][allocation.neurons[i] / step];
  return sum;
}

TEST(AllocationTest, PlanIsTheBestOfAllThatFit) {
  const AllocationCosts costs = Costs(2, 3, 4);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Lists heads = Damages(costs.heads, seed), neurons = Damages(costs.neurons, seed + 100);
    for (const double budget : {110.0, 150.0, 185.0, 240.0}) {
      double best = std::numeric_limits<double>::infinity();
      for (int a = 0; a <= 3; ++a)
        for (int b = 0; b <= 3; ++b)
          for (int c = 0; c <= 4; ++c)
            for (int d = 0; d <= 4; ++d) {
              const Allocation each{{a, b}, {16 * c, 16 * d}};
              if (costs.Of(each) <= budget) best = std::min(best, DamageOf(heads, neurons, each, 16));
            }
      // Steps of 5, of which all costs are multiples.
      const Allocation plan = Plan(costs, heads, neurons, budget, static_cast<int>((budget - costs.fixed) / 5));
      EXPECT_LE(costs.Of(plan), budget);
      EXPECT_NEAR(DamageOf(heads, neurons, plan, 16), best, 1e-12) << seed << ", " << budget;
    }
  }
}

TEST(AllocationTest, PlanOfALargeBudgetKeepsAll) {
  const AllocationCosts costs = Costs(3, 4, 5);
  const Allocation plan = Plan(costs, Damages(costs.heads, 1), Damages(costs.neurons, 2), 1e4);
  EXPECT_THAT(plan.heads, Each(4));
  EXPECT_THAT(plan.neurons, Each(80));
}

TEST(AllocationTest, NothingFitsBelowWhatIsFixed) {
  const AllocationCosts costs = Costs(2, 3, 4);
  EXPECT_THAT(Plan(costs, Damages(costs.heads, 1), Damages(costs.neurons, 2), 99).heads, SizeIs(0));
  EXPECT_THAT(Tapers(costs, 99), SizeIs(0));
  EXPECT_THAT(Uniforms(costs, 99), SizeIs(0));
  const Allocation none = Plan(costs, Damages(costs.heads, 1), Damages(costs.neurons, 2), 100);
  EXPECT_THAT(none.heads, ElementsAre(0, 0));
  EXPECT_THAT(none.neurons, ElementsAre(0, 0));
}

TEST(AllocationTest, TapersFallWithDepthAndUseTheBudget) {
  const AllocationCosts costs = Costs(6, 12, 48);
  const double budget = 1200;
  const auto tapers = Tapers(costs, budget);
  EXPECT_GT(tapers.size(), 20u);
  for (size_t i = 0; i < tapers.size(); ++i) {
    EXPECT_LE(costs.Of(tapers[i]), budget);
    EXPECT_GT(costs.Of(tapers[i]), budget - 30);
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(tapers[i] == tapers[j]);
    EXPECT_GE(tapers[i].heads.front() + 1, tapers[i].heads.back());
  }
  const auto steepest = std::max_element(tapers.begin(), tapers.end(), [](const auto& a, const auto& b) {
    return a.neurons.front() - a.neurons[4] < b.neurons.front() - b.neurons[4];
  });
  EXPECT_GT(steepest->neurons.front(), 2 * steepest->neurons[4]);
}

TEST(AllocationTest, UniformLayersAreAlikeAndOneStepMoreIsTooMuch) {
  const AllocationCosts costs = Costs(6, 12, 48);
  const auto all = Uniforms(costs, 1200);
  EXPECT_GT(all.size(), 3u);
  for (Allocation each : all) {
    EXPECT_THAT(each.heads, Each(each.heads[0]));
    EXPECT_THAT(each.neurons, Each(each.neurons[0]));
    EXPECT_LE(costs.Of(each), 1200);
    for (int& neurons : each.neurons) neurons += 16;
    if (each.neurons[0] <= 48 * 16) EXPECT_GT(costs.Of(each), 1200);
  }
}

TEST(AllocationTest, ChanceFillsTheBudgetAndSeedsDiffer) {
  const AllocationCosts costs = Costs(6, 12, 48);
  std::vector<Allocation> all;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Random random(seed);
    all.push_back(RandomAllocation(costs, 1200, &random));
    EXPECT_LE(costs.Of(all.back()), 1200);
    EXPECT_GT(costs.Of(all.back()), 1200 - 30);
    for (size_t i = 0; i + 1 < all.size(); ++i) EXPECT_FALSE(all[i] == all.back());
  }
}

}  // namespace
}  // namespace thimble::search
