// Allocations stay within their budget, and the plan is the best there is.
#include "search/allocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace thimble::search {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::SizeIs;

// Heads cost 30, 16 neurons 10; the last layer half of that, as where one token is read. Damages fall, convex
// and not, different for each layer.
AllocationCosts Costs(int layers, int heads, int steps, uint64_t seed = 1) {
  AllocationCosts costs{.fixed = 100};
  Random random(seed);
  const auto block = [&](int most, int size, double cost) {
    BlockSizes sizes;
    for (int k = 0; k <= most; ++k) {
      sizes.sizes.push_back(k * size);
      sizes.costs.push_back(k * cost);
    }
    sizes.damages.resize(sizes.sizes.size());
    for (size_t k = sizes.damages.size() - 1; k-- > 0;)
      sizes.damages[k] = sizes.damages[k + 1] + random.Uniform() * random.Uniform();
    return sizes;
  };
  for (int i = 0; i < layers; ++i) {
    const double share = i + 1 == layers ? 0.5 : 1;
    costs.heads.push_back(block(heads, 1, 30 * share));
    costs.neurons.push_back(block(steps, 16, 10 * share));
  }
  return costs;
}

TEST(AllocationTest, PlanIsTheBestOfAllThatFit) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const AllocationCosts costs = Costs(2, 3, 4, seed);
    for (const double budget : {110.0, 150.0, 185.0, 240.0}) {
      double best = std::numeric_limits<double>::infinity();
      for (int a = 0; a <= 3; ++a)
        for (int b = 0; b <= 3; ++b)
          for (int c = 0; c <= 4; ++c)
            for (int d = 0; d <= 4; ++d) {
              const Allocation each{{a, b}, {16 * c, 16 * d}};
              if (costs.Of(each) <= budget) best = std::min(best, costs.DamageOf(each));
            }
      // Steps of 5, of which all costs are multiples.
      const Allocation plan = Plan(costs, budget, static_cast<int>((budget - costs.fixed) / 5));
      EXPECT_LE(costs.Of(plan), budget);
      EXPECT_NEAR(costs.DamageOf(plan), best, 1e-12) << seed << ", " << budget;
    }
  }
}

TEST(AllocationTest, PlanOfALargeBudgetKeepsAll) {
  const AllocationCosts costs = Costs(3, 4, 5);
  const Allocation plan = Plan(costs, 1e4);
  EXPECT_THAT(plan.heads, Each(4));
  EXPECT_THAT(plan.neurons, Each(80));
}

TEST(AllocationTest, NothingFitsBelowWhatIsFixed) {
  const AllocationCosts costs = Costs(2, 3, 4);
  EXPECT_THAT(Plan(costs, 99).heads, SizeIs(0));
  EXPECT_THAT(Tapers(costs, 99), SizeIs(0));
  EXPECT_THAT(Uniforms(costs, 99), SizeIs(0));
  const Allocation none = Plan(costs, 100);
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

TEST(AllocationTest, SizesNeedNotBeEvenlySpaced) {
  AllocationCosts costs = Costs(3, 4, 5);
  for (auto& block : costs.neurons) {
    for (auto* list : {&block.costs, &block.damages}) list->erase(list->begin() + 2, list->begin() + 4);
    block.sizes = {0, 16, 64, 80};
  }
  const auto offered = testing::AnyOf(0, 16, 64, 80);
  Random random(3);
  auto all = Tapers(costs, 300);
  for (const auto& uniform : Uniforms(costs, 300)) all.push_back(uniform);
  all.push_back(Plan(costs, 300));
  all.push_back(RandomAllocation(costs, 300, &random));
  all.push_back(HandedOn(costs, all[0], 300, &random));
  for (const auto& each : all) {
    EXPECT_THAT(each.neurons, Each(offered));
    EXPECT_LE(costs.Of(each), 300);
  }
}

TEST(AllocationTest, StepsStayWithinTheBudgetAndMoveSomething) {
  const AllocationCosts costs = Costs(6, 12, 48);
  Random random(1);
  const Allocation plan = Plan(costs, 1200);
  int moved = 0, replanned = 0;
  for (int i = 0; i < 50; ++i) {
    const Allocation step = HandedOn(costs, plan, 1200, &random),
                     other = NoisyPlan(costs, 1200, 0.5, &random);
    EXPECT_LE(costs.Of(step), 1200);
    EXPECT_LE(costs.Of(other), 1200);
    EXPECT_GE(costs.DamageOf(other), costs.DamageOf(plan) - 1e-6 * costs.DamageOf(plan));
    moved += !(step == plan);
    replanned += !(other == plan);
  }
  EXPECT_GT(moved, 45);
  EXPECT_GT(replanned, 45);
}

}  // namespace
}  // namespace thimble::search
