// How many heads and neurons each layer of a student gets within a budget: a plan by what cutting costs, tapers, and
// the uniform shapes that are the control of both. Pure data. Dynamic programming over damages: Frantar and Alistarh,
// ICML 2022 (SPDY); docs/allocation.md.
#pragma once
#include <cstdint>
#include <vector>

#include "base/random.h"

namespace thimble::search {

struct Allocation {
  std::vector<int> heads, neurons;  // by layer
  bool operator==(const Allocation&) const = default;
};

// What layers may have and what that costs, in any unit that adds up over blocks (multiply-adds, milliseconds,
// parameters). costs[layer][k]: of k heads, of k * neuron_step neurons; of none 0.
struct AllocationCosts {
  int neuron_step = 32;
  double fixed = 0;  // of everything else
  std::vector<std::vector<double>> heads, neurons;

  int layers() const { return static_cast<int>(heads.size()); }
  double Of(const Allocation& allocation) const;
};

// The least sum of damages within the budget, by dynamic programming over the blocks in `grid` steps of the budget;
// what is left is then spent in single steps, where each takes away most damage for its cost. `damages`: as the costs.
// Empty lists if nothing at all costs more than the budget.
Allocation Plan(const AllocationCosts& costs, const std::vector<std::vector<double>>& head_damages,
                const std::vector<std::vector<double>>& neuron_damages, double budget, int grid = 3000);

// Heads and neurons that fall linearly with depth, each by a slope of its own, for several shares of attention; the
// last layer's neurons as the others or at their least (all of them, where they are cheap). Different from each
// other, within the budget and close to it.
std::vector<Allocation> Tapers(const AllocationCosts& costs, double budget);

// The same heads and neurons in every layer: one for each number of heads that leaves neurons.
std::vector<Allocation> Uniforms(const AllocationCosts& costs, double budget);

// Shares drawn for each block, scaled to the budget: the control by chance.
Allocation RandomAllocation(const AllocationCosts& costs, double budget, Random* random);

}  // namespace thimble::search
