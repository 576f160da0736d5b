#include "search/allocation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace thimble::search {
namespace {

constexpr double kCheap =
    0.25;  // of what neurons cost in the first layer, where the last one reads a single token
constexpr double kInfinite = std::numeric_limits<double>::infinity();

// Blocks in the order of the walk: a layer's heads, then its neurons. A block's place: which of its sizes it
// has.
class Blocks {
 public:
  Blocks(const AllocationCosts& costs, double budget) : costs_(costs), room_(budget - costs.fixed) {}

  int count() const { return 2 * costs_.layers(); }
  double room() const { return room_; }
  const BlockSizes& At(int block) const {
    return block % 2 == 0 ? costs_.heads[block / 2] : costs_.neurons[block / 2];
  }
  double Cost(int block, int place) const { return At(block).costs[place]; }
  int Size(int block, int place) const { return At(block).sizes[place]; }
  int Most(int block) const { return static_cast<int>(At(block).sizes.size()) - 1; }
  // The greatest that is no larger than `size`, or the least.
  int PlaceOf(int block, double size) const {
    const auto& sizes = At(block).sizes;
    const auto above = std::upper_bound(sizes.begin(), sizes.end(), size + 1e-9);
    return std::max(0, static_cast<int>(above - sizes.begin()) - 1);
  }
  int First(int block) const {
    return PlaceOf(block, 0) < Most(block) && Size(block, 0) == 0 ? 1 : 0;
  }  // that is something

  double Cost(const std::vector<int>& places) const {
    double sum = 0;
    for (int block = 0; block < count(); ++block) sum += Cost(block, places[block]);
    return sum;
  }
  // Rounding of sums is no reason to leave a budget.
  bool Fits(double cost) const { return cost <= room_ * (1 + 1e-9); }

  // Spends what is left in single steps: each time where `gain` of a block's next place is greatest; none
  // below zero.
  template <typename Gain>
  void Fill(std::vector<int>* places, const Gain& gain) const {
    double spent = Cost(*places);
    for (;;) {
      int best = -1;
      double most = 0;
      for (int block = 0; block < count(); ++block) {
        const int next = (*places)[block] + 1;
        if (next > Most(block) || !Fits(spent + Cost(block, next) - Cost(block, next - 1))) continue;
        const double of = gain(block, next);
        if (best < 0 ? of >= 0 : of > most) best = block, most = of;
      }
      if (best < 0) return;
      spent += Cost(best, (*places)[best] + 1) - Cost(best, (*places)[best]);
      ++(*places)[best];
    }
  }

  std::vector<int> PlacesOf(const Allocation& allocation) const {
    std::vector<int> places;
    for (int block = 0; block < count(); ++block)
      places.push_back(PlaceOf(block, (block % 2 == 0 ? allocation.heads : allocation.neurons)[block / 2]));
    return places;
  }
  Allocation ToAllocation(const std::vector<int>& places) const {
    Allocation result;
    for (int block = 0; block < count(); ++block)
      (block % 2 == 0 ? result.heads : result.neurons).push_back(Size(block, places[block]));
    return result;
  }

 private:
  const AllocationCosts& costs_;
  const double room_;
};

// Fills blocks that have something, the one furthest below its share first. `wanted`: sizes.
void FillEvenly(const Blocks& blocks, const std::vector<double>& wanted, std::vector<int>* places) {
  blocks.Fill(places, [&](int block, int next) {
    const double largest = blocks.Size(block, blocks.Most(block));
    return wanted[block] > 0 ? 1e3 + (wanted[block] - blocks.Size(block, next)) / largest : -1.0;
  });
}

void AddNew(Allocation allocation, std::vector<Allocation>* all) {
  if (std::find(all->begin(), all->end(), allocation) == all->end()) all->push_back(std::move(allocation));
}

}  // namespace

double AllocationCosts::Of(const Allocation& allocation) const {
  const Blocks blocks(*this, 0);
  return fixed + blocks.Cost(blocks.PlacesOf(allocation));
}

double AllocationCosts::DamageOf(const Allocation& allocation) const {
  const Blocks blocks(*this, 0);
  const auto places = blocks.PlacesOf(allocation);
  double sum = 0;
  for (int block = 0; block < blocks.count(); ++block) sum += blocks.At(block).damages.at(places[block]);
  return sum;
}

Allocation Plan(const AllocationCosts& costs, double budget, int grid) {
  const Blocks blocks(costs, budget);
  if (!blocks.Fits(blocks.Cost(std::vector<int>(blocks.count(), 0)))) return {};
  const double step = blocks.room() / grid;
  const auto steps = [&](double cost) {
    return step > 0 ? static_cast<int>(std::min(std::ceil(cost / step - 1e-9), grid + 1.0))
                    : (cost > 0 ? grid + 1 : 0);
  };
  std::vector<double> least(grid + 1, 0);  // of the blocks so far, within c steps
  std::vector<std::vector<int>> choices;
  for (int block = 0; block < blocks.count(); ++block) {
    const auto& damages = blocks.At(block).damages;
    THIMBLE_CHECK(damages.size() == blocks.At(block).sizes.size(), "block " + std::to_string(block));
    std::vector<double> next(grid + 1, kInfinite);
    std::vector<int> choice(grid + 1, 0);
    for (int place = 0; place <= blocks.Most(block); ++place) {
      const int taken = steps(blocks.Cost(block, place));
      for (int c = taken; c <= grid; ++c) {
        const double sum = least[c - taken] + damages[place];
        if (sum < next[c]) next[c] = sum, choice[c] = place;
      }
    }
    least = std::move(next);
    choices.push_back(std::move(choice));
  }
  std::vector<int> places(blocks.count());
  int left = grid;
  for (int block = blocks.count() - 1; block >= 0; --block) {
    places[block] = choices[block][left];
    left -= steps(blocks.Cost(block, places[block]));
  }
  blocks.Fill(&places, [&](int block, int next) {
    const double gain = blocks.At(block).damages[next - 1] - blocks.At(block).damages[next];
    const double cost = blocks.Cost(block, next) - blocks.Cost(block, next - 1);
    return cost > 0 ? gain / cost : gain;
  });
  return blocks.ToAllocation(places);
}

Allocation NoisyPlan(const AllocationCosts& costs, double budget, double deviation, Random* random) {
  AllocationCosts noisy = costs;
  for (auto* blocks : {&noisy.heads, &noisy.neurons})
    for (auto& block : *blocks) {
      const double factor = std::exp(deviation * random->Normal());
      for (double& damage : block.damages) damage *= factor;
    }
  return Plan(noisy, budget);
}

std::vector<Allocation> Tapers(const AllocationCosts& costs, double budget) {
  const Blocks blocks(costs, budget);
  const int layers = costs.layers();
  std::vector<Allocation> all;
  if (blocks.room() <= 0) return all;
  const auto falling = [&](double slope, int layer) {
    return layers > 1 ? 1 - slope * layer / (layers - 1) : 1.0;
  };
  // What a unit of size costs in a block.
  const auto each_costs = [&](int block) {
    const int most = blocks.Most(block);
    return most == 0 || blocks.Size(block, most) == 0 ? 0.0
                                                      : blocks.Cost(block, most) / blocks.Size(block, most);
  };
  const int last = blocks.count() - 1;
  const bool cheap = layers > 1 && each_costs(last) < kCheap * each_costs(1);
  for (const double share : {0.2, 0.35, 0.5})
    for (const double head_slope : {0.0, 0.5, 0.9})
      for (const double neuron_slope : {0.0, 0.5, 0.9})
        for (const bool as_others : {true, false}) {
          // What a unit of weight costs, of heads and of neurons; the last neurons apart.
          std::vector<double> weights(blocks.count()), wanted(blocks.count());
          double each[2] = {0, 0}, room = blocks.room();
          for (int block = 0; block < blocks.count(); ++block) {
            weights[block] = falling(block % 2 == 0 ? head_slope : neuron_slope, block / 2);
            if (block < last || as_others) each[block % 2] += weights[block] * each_costs(block);
          }
          std::vector<int> places(blocks.count());
          if (!as_others)
            room -= blocks.Cost(last, places[last] = cheap ? blocks.Most(last) : blocks.First(last));
          if (room <= 0) continue;
          for (int block = 0; block < (as_others ? last + 1 : last); ++block) {
            const double part =
                each[block % 2] > 0 ? room * (block % 2 == 0 ? share : 1 - share) / each[block % 2] : 0;
            wanted[block] = std::min<double>(part * weights[block], blocks.Size(block, blocks.Most(block)));
            places[block] = std::max(blocks.First(block), blocks.PlaceOf(block, wanted[block]));
          }
          if (!blocks.Fits(blocks.Cost(places))) continue;
          FillEvenly(blocks, wanted, &places);
          AddNew(blocks.ToAllocation(places), &all);
        }
  return all;
}

std::vector<Allocation> Uniforms(const AllocationCosts& costs, double budget) {
  const Blocks blocks(costs, budget);
  std::vector<Allocation> all;
  // Sizes that every layer may have.
  const auto common = [&](int first) {
    std::vector<int> sizes;
    for (const int size : blocks.At(first).sizes) {
      bool everywhere = size > 0;
      for (int block = first; block < blocks.count() && everywhere; block += 2)
        everywhere = blocks.Size(block, blocks.PlaceOf(block, size)) == size;
      if (everywhere) sizes.push_back(size);
    }
    return sizes;
  };
  const auto neurons = common(1);
  for (const int heads : common(0)) {
    std::vector<int> places(blocks.count());
    int most = -1;
    const auto set = [&](int size) {
      for (int block = 0; block < blocks.count(); ++block)
        places[block] = blocks.PlaceOf(block, block % 2 == 0 ? heads : size);
      return blocks.Fits(blocks.Cost(places));
    };
    for (const int size : neurons)
      if (set(size)) most = size;
    if (most > 0 && set(most)) AddNew(blocks.ToAllocation(places), &all);
  }
  return all;
}

Allocation RandomAllocation(const AllocationCosts& costs, double budget, Random* random) {
  const Blocks blocks(costs, budget);
  std::vector<double> shares(blocks.count());
  for (double& share : shares) share = random->Uniform();
  std::vector<int> places(blocks.count());
  const auto wanted_at = [&](double factor) {
    std::vector<double> wanted;
    for (int block = 0; block < blocks.count(); ++block)
      wanted.push_back(std::min(factor * shares[block], 1.0) * blocks.Size(block, blocks.Most(block)));
    return wanted;
  };
  const auto set = [&](double factor) {
    const auto wanted = wanted_at(factor);
    for (int block = 0; block < blocks.count(); ++block) places[block] = blocks.PlaceOf(block, wanted[block]);
    return blocks.Fits(blocks.Cost(places));
  };
  double low = 0, high = 1e3;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (set(middle) ? low : high) = middle;
  }
  set(low);
  auto wanted = wanted_at(low);
  for (double& size : wanted) size += 1e-9;
  FillEvenly(blocks, wanted, &places);
  return blocks.ToAllocation(places);
}

Allocation HandedOn(const AllocationCosts& costs, const Allocation& from, double budget, Random* random) {
  const Blocks blocks(costs, budget);
  auto places = blocks.PlacesOf(from);
  std::vector<int> givers;
  for (int block = 0; block < blocks.count(); ++block)
    if (places[block] > 0) givers.push_back(block);
  if (givers.empty() || blocks.count() < 2) return from;
  const int giver = givers[random->Below(givers.size())];
  int taker = static_cast<int>(random->Below(static_cast<uint64_t>(blocks.count() - 1)));
  if (taker >= giver) ++taker;
  const double share = 1.0 / 16 + random->Uniform() * (1.0 / 4 - 1.0 / 16);
  const double kept = blocks.Cost(giver, places[giver]) * (1 - share);
  --places[giver];
  while (places[giver] > 0 && blocks.Cost(giver, places[giver]) > kept) --places[giver];
  // The taker first, then whoever has something.
  blocks.Fill(&places, [&](int block, int) { return block == taker ? 1.0 : -1.0; });
  std::vector<double> wanted(blocks.count());
  for (int block = 0; block < blocks.count(); ++block)
    wanted[block] = block == giver ? 0 : blocks.Size(block, places[block]);
  FillEvenly(blocks, wanted, &places);
  return blocks.ToAllocation(places);
}

}  // namespace thimble::search
