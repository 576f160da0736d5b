#include "search/allocation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace thimble::search {
namespace {

constexpr double kCheap = 0.25;  // of what neurons cost in the first layer, where the last one reads a single token
constexpr double kInfinite = std::numeric_limits<double>::infinity();

// Blocks in the order of the walk: a layer's heads, then its neurons. Units: heads, steps of neurons.
class Blocks {
 public:
  Blocks(const AllocationCosts& costs, double budget) : costs_(costs), room_(budget - costs.fixed) {}

  int count() const { return 2 * costs_.layers(); }
  double room() const { return room_; }
  const std::vector<double>& Costs(int block) const { return Of(costs_.heads, costs_.neurons, block); }
  int Most(int block) const { return static_cast<int>(Costs(block).size()) - 1; }
  static const std::vector<double>& Of(const std::vector<std::vector<double>>& heads,
                                       const std::vector<std::vector<double>>& neurons, int block) {
    return block % 2 == 0 ? heads[block / 2] : neurons[block / 2];
  }

  double Cost(const std::vector<int>& units) const {
    double sum = 0;
    for (int block = 0; block < count(); ++block) sum += Costs(block)[units[block]];
    return sum;
  }
  // Rounding of sums is no reason to leave a budget.
  bool Fits(double cost) const { return cost <= room_ * (1 + 1e-9); }

  // Spends what is left in single steps: each time where `gain` of a block's next unit is greatest; none below zero.
  template <typename Gain>
  void Fill(std::vector<int>* units, const Gain& gain) const {
    double spent = Cost(*units);
    for (;;) {
      int best = -1;
      double most = 0;
      for (int block = 0; block < count(); ++block) {
        const int next = (*units)[block] + 1;
        if (next > Most(block) || !Fits(spent + Costs(block)[next] - Costs(block)[next - 1])) continue;
        const double of = gain(block, next);
        if (best < 0 ? of >= 0 : of > most) best = block, most = of;
      }
      if (best < 0) return;
      spent += Costs(best)[(*units)[best] + 1] - Costs(best)[(*units)[best]];
      ++(*units)[best];
    }
  }

  Allocation ToAllocation(const std::vector<int>& units) const {
    Allocation result;
    for (int block = 0; block < count(); block += 2) {
      result.heads.push_back(units[block]);
      result.neurons.push_back(units[block + 1] * costs_.neuron_step);
    }
    return result;
  }

 private:
  const AllocationCosts& costs_;
  const double room_;
};

// Fills blocks that have something, the one furthest below its share first.
void FillEvenly(const Blocks& blocks, const std::vector<double>& wanted, std::vector<int>* units) {
  blocks.Fill(units, [&](int block, int next) {
    return wanted[block] > 0 ? 1e3 + wanted[block] - next : -1.0;
  });
}

void AddNew(Allocation allocation, std::vector<Allocation>* all) {
  if (std::find(all->begin(), all->end(), allocation) == all->end()) all->push_back(std::move(allocation));
}

}  // namespace

double AllocationCosts::Of(const Allocation& allocation) const {
  double sum = fixed;
  for (int i = 0; i < layers(); ++i)
    sum += heads[i].at(allocation.heads[i]) + neurons[i].at(allocation.neurons[i] / neuron_step);
  return sum;
}

Allocation Plan(const AllocationCosts& costs, const std::vector<std::vector<double>>& head_damages,
                const std::vector<std::vector<double>>& neuron_damages, double budget, int grid) {
  const Blocks blocks(costs, budget);
  if (blocks.room() < 0) return {};
  const auto damages = [&](int block) -> const std::vector<double>& {
    return Blocks::Of(head_damages, neuron_damages, block);
  };
  const double step = blocks.room() / grid;
  const auto steps = [&](double cost) {
    return step > 0 ? static_cast<int>(std::min(std::ceil(cost / step - 1e-9), grid + 1.0)) : (cost > 0 ? grid + 1 : 0);
  };
  std::vector<double> least(grid + 1, 0);  // of the blocks so far, within c steps
  std::vector<std::vector<int>> choices;
  for (int block = 0; block < blocks.count(); ++block) {
    THIMBLE_CHECK(damages(block).size() == blocks.Costs(block).size(), "block " + std::to_string(block));
    std::vector<double> next(grid + 1, kInfinite);
    std::vector<int> choice(grid + 1, 0);
    for (int units = 0; units <= blocks.Most(block); ++units) {
      const int taken = steps(blocks.Costs(block)[units]);
      for (int c = taken; c <= grid; ++c) {
        const double sum = least[c - taken] + damages(block)[units];
        if (sum < next[c]) next[c] = sum, choice[c] = units;
      }
    }
    least = std::move(next);
    choices.push_back(std::move(choice));
  }
  std::vector<int> units(blocks.count());
  int left = grid;
  for (int block = blocks.count() - 1; block >= 0; --block) {
    units[block] = choices[block][left];
    left -= steps(blocks.Costs(block)[units[block]]);
  }
  blocks.Fill(&units, [&](int block, int next) {
    const double gain = damages(block)[next - 1] - damages(block)[next];
    const double cost = blocks.Costs(block)[next] - blocks.Costs(block)[next - 1];
    return cost > 0 ? gain / cost : gain;
  });
  return blocks.ToAllocation(units);
}

std::vector<Allocation> Tapers(const AllocationCosts& costs, double budget) {
  const Blocks blocks(costs, budget);
  const int layers = costs.layers();
  std::vector<Allocation> all;
  if (blocks.room() <= 0) return all;
  const auto falling = [&](double slope, int layer) {
    return layers > 1 ? 1 - slope * layer / (layers - 1) : 1.0;
  };
  const auto& ends = costs.neurons;
  const bool cheap = layers > 1 && ends.back()[1] < kCheap * ends.front()[1];
  for (const double share : {0.2, 0.35, 0.5})
    for (const double head_slope : {0.0, 0.5, 0.9})
      for (const double neuron_slope : {0.0, 0.5, 0.9})
        for (const bool as_others : {true, false}) {
          // What a unit of weight costs, of heads and of neurons; the last neurons apart.
          const int last = blocks.count() - 1;
          std::vector<double> weights(blocks.count()), wanted(blocks.count());
          double each[2] = {0, 0}, room = blocks.room();
          for (int block = 0; block < blocks.count(); ++block) {
            weights[block] = falling(block % 2 == 0 ? head_slope : neuron_slope, block / 2);
            if (block < last || as_others) each[block % 2] += weights[block] * blocks.Costs(block)[1];
          }
          std::vector<int> units(blocks.count());
          if (!as_others) room -= blocks.Costs(last)[units[last] = cheap ? blocks.Most(last) : 1];
          if (room <= 0) continue;
          for (int block = 0; block < (as_others ? last + 1 : last); ++block) {
            const double part = room * (block % 2 == 0 ? share : 1 - share) / each[block % 2];
            wanted[block] = std::min<double>(part * weights[block], blocks.Most(block));
            units[block] = std::max(1, static_cast<int>(wanted[block]));
          }
          if (!blocks.Fits(blocks.Cost(units))) continue;
          FillEvenly(blocks, wanted, &units);
          AddNew(blocks.ToAllocation(units), &all);
        }
  return all;
}

std::vector<Allocation> Uniforms(const AllocationCosts& costs, double budget) {
  const Blocks blocks(costs, budget);
  std::vector<Allocation> all;
  int most_heads = 0, most_neurons = 0;
  for (int block = 0; block < blocks.count(); ++block) {
    int& most = block % 2 == 0 ? most_heads : most_neurons;
    most = most == 0 ? blocks.Most(block) : std::min(most, blocks.Most(block));
  }
  for (int heads = 1; heads <= most_heads; ++heads) {
    std::vector<int> units(blocks.count());
    const auto set = [&](int neurons) {
      for (int block = 0; block < blocks.count(); ++block) units[block] = block % 2 == 0 ? heads : neurons;
      return blocks.Fits(blocks.Cost(units));
    };
    int neurons = 0;
    while (neurons < most_neurons && set(neurons + 1)) ++neurons;
    if (neurons > 0 && set(neurons)) AddNew(blocks.ToAllocation(units), &all);
  }
  return all;
}

Allocation RandomAllocation(const AllocationCosts& costs, double budget, Random* random) {
  const Blocks blocks(costs, budget);
  std::vector<double> shares(blocks.count());
  for (double& share : shares) share = random->Uniform();
  std::vector<int> units(blocks.count());
  const auto set = [&](double factor) {
    for (int block = 0; block < blocks.count(); ++block)
      units[block] = static_cast<int>(std::min(factor * shares[block], 1.0) * blocks.Most(block));
    return blocks.Fits(blocks.Cost(units));
  };
  double low = 0, high = 1e3;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (set(middle) ? low : high) = middle;
  }
  set(low);
  std::vector<double> wanted(blocks.count());
  for (int block = 0; block < blocks.count(); ++block) wanted[block] = low * shares[block] * blocks.Most(block) + 1e-9;
  FillEvenly(blocks, wanted, &units);
  return blocks.ToAllocation(units);
}

}  // namespace thimble::search
