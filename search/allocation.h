// How many heads and neurons each layer of a student gets within a budget: a plan by what cutting costs,
// tapers, and the uniform shapes that are the control of both. Pure data. Dynamic programming over damages:
// Frantar and Alistarh, ICML 2022 (SPDY); docs/allocation.md.
#pragma once
#include <cstdint>
#include <vector>

#include "base/random.h"

namespace thimble::search {

struct Allocation {
  std::vector<int> heads, neurons;  // by layer
  bool operator==(const Allocation&) const = default;
};

// What one block may have, heads or neurons, ascending, and what each size costs.
struct BlockSizes {
  std::vector<int> sizes;
  std::vector<double> costs;
  std::vector<double> damages = {};  // of keeping so many; empty: not known
};

// What layers may have and what that costs, in any unit that adds up over blocks (multiply-adds,
// milliseconds, parameters).
struct AllocationCosts {
  double fixed = 0;                        // of everything else
  std::vector<BlockSizes> heads, neurons;  // by layer

  int layers() const { return static_cast<int>(heads.size()); }
  double Of(const Allocation& allocation) const;        // of sizes that blocks may have
  double DamageOf(const Allocation& allocation) const;  // sum
};

// The least sum of damages within the budget, by dynamic programming over the blocks in `grid` steps of the
// budget; what is left is then spent in single steps, where each takes away most damage for its cost. Empty
// lists if nothing at all costs more than the budget.
Allocation Plan(const AllocationCosts& costs, double budget, int grid = 3000);
// The same with every damage times exp(N(0, deviation)), a number for each block: plans that are nearly as
// good where damages are not exact.
Allocation NoisyPlan(const AllocationCosts& costs, double budget, double deviation, Random* random);

// Heads and neurons that fall linearly with depth, each by a slope of its own, for several shares of
// attention; the last layer's neurons as the others or at their least (all of them, where they are cheap).
// Different from each other, within the budget and close to it.
std::vector<Allocation> Tapers(const AllocationCosts& costs, double budget);

// The same heads and neurons in every layer: one for each number of heads that leaves neurons.
std::vector<Allocation> Uniforms(const AllocationCosts& costs, double budget);

// Shares drawn for each block, scaled to the budget: the control by chance.
Allocation RandomAllocation(const AllocationCosts& costs, double budget, Random* random);

// A step of local search: between 1/16 and 1/4 of what a block has over its least, in cost, handed on to
// another block.
Allocation HandedOn(const AllocationCosts& costs, const Allocation& from, double budget, Random* random);

}  // namespace thimble::search
