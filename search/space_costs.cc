// What the parts of a section's candidates cost, and how many of them are within the limits.
#include <algorithm>
#include <cmath>
#include <map>

#include "models/arch/architecture.h"
#include "search/space_plan.h"

namespace thimble::search {
namespace {

constexpr double kCostSteps = 4096;  // of a limit on what is no whole number, for counting

proto::Layer Nothing() {
  proto::Layer layer;
  layer.mutable_mixer()->mutable_none();
  layer.mutable_ffn()->mutable_none();
  return layer;
}

// Each part by itself, in an encoder that has nothing else: costs add up over parts.
PartCosts CostsOf(const Limit& limit, const std::vector<LayerPlan>& layers, const proto::Architecture& base) {
  auto bare = base;
  for (auto& layer : *bare.mutable_layer()) layer = Nothing();
  PartCosts costs{.fixed = limit.cost(bare)};
  const auto of = [&](size_t i, const proto::Layer& layer) {
    auto one = bare;
    *one.mutable_layer(static_cast<int>(i)) = layer;
    return limit.cost(one) - costs.fixed;
  };
  // Layers of equal parts cost the same, the last apart: of it less may be read.
  std::map<std::string, size_t> known;
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerPlan& plan = layers[i];
    std::string key = i + 1 == layers.size() ? "last " : "";
    for (const auto& mixer : plan.mixers) key += mixer.SerializeAsString() + "|";
    for (const auto& block : plan.blocks)
      key += std::to_string(block.stacks) + block.inner.SerializeAsString() + "|";
    const auto [same, first] = known.emplace(key + plan.base.ToString(), i);
    if (!first) {
      costs.mixers.push_back(costs.mixers[same->second]);
      costs.blocks.push_back(costs.blocks[same->second]);
      continue;
    }
    auto& of_mixers = costs.mixers.emplace_back();
    for (const auto& mixer : plan.mixers) {
      auto layer = Nothing();
      *layer.mutable_mixer() = mixer;
      of_mixers.push_back(of(i, layer));
    }
    auto& of_blocks = costs.blocks.emplace_back();
    for (const auto& block : plan.blocks) {
      auto layer = Nothing();
      *layer.mutable_ffn() = MakeFeedForward(block.inner, block.stacks, plan.base.ToString());
      of_blocks.push_back(of(i, layer));
    }
  }
  return costs;
}

bool SameParts(const PartCosts& a, const PartCosts& b) {
  return a.mixers == b.mixers && a.blocks == b.blocks;
}

// Points within limit `index` and those that count the same parts alike.
FeasiblePoints PointsWithin(const std::vector<Limit>& limits, const std::vector<PartCosts>& costs,
                            size_t index) {
  double low = 0, high = HUGE_VAL;
  for (size_t i = 0; i < limits.size(); ++i) {
    if (i != index && !SameParts(costs[i], costs[index])) continue;
    low = std::max(low, limits[i].min - costs[i].fixed);
    high = std::min(high, limits[i].max - costs[i].fixed);
  }
  const bool bounded = std::isfinite(high);
  const double step = limits[index].whole ? 1 : std::max(high, 0.0) / kCostSteps;
  const auto steps = [&](double cost) {
    return step > 0 && bounded ? static_cast<int64_t>(std::ceil(cost / step - 1e-9)) : 0;
  };
  std::vector<std::vector<int64_t>> places;
  for (size_t i = 0; i < costs[index].mixers.size(); ++i)
    for (const auto* part : {&costs[index].mixers[i], &costs[index].blocks[i]}) {
      auto& place = places.emplace_back();
      for (const double cost : *part) place.push_back(limits[index].whole ? std::llround(cost) : steps(cost));
    }
  const int64_t most = !bounded              ? kUnbounded
                       : limits[index].whole ? std::llround(high)
                       : high > 0            ? static_cast<int64_t>(kCostSteps)
                                             : -1;
  return FeasiblePoints(std::move(places), limits[index].whole ? std::llround(low) : steps(low), most);
}

}  // namespace

std::pair<double, double> PartCosts::Range() const {
  double low = fixed, high = fixed;
  for (const auto* parts : {&mixers, &blocks})
    for (const auto& options : *parts) {
      low += *std::min_element(options.begin(), options.end());
      high += *std::max_element(options.begin(), options.end());
    }
  return {low, high};
}

void CountPoints(const std::vector<Limit>& limits, SectionPlan* plan) {
  for (const Limit& limit : limits) plan->costs.push_back(CostsOf(limit, plan->layers, plan->base));
  for (size_t i = 0; i < limits.size(); ++i) {
    auto points = PointsWithin(limits, plan->costs, i);
    if (plan->points && plan->points->feasible() <= points.feasible()) continue;
    plan->points.emplace(std::move(points));
    plan->counted = i;
  }
}

bool SectionPlan::Holds(const proto::Architecture& architecture) const {
  return base.hidden() == architecture.hidden() && base.layer_size() == architecture.layer_size() &&
         SameEmbedding(base.embedding(), architecture.embedding());
}

double SectionPlan::Cost(const proto::Architecture& architecture, const std::vector<Limit>& limits,
                         size_t limit) const {
  double sum = costs[limit].fixed;
  for (int i = 0; i < architecture.layer_size(); ++i) {
    const auto& layer = architecture.layer(i);
    const auto mixer = layers[i].MixerOf(layer), block = layers[i].BlockOf(layer);
    const bool other = limits[limit].by_expression && layer.ffn().has_expression() &&
                       layer.ffn().expression() != layers[i].base.ToString();
    if (!mixer || !block || other) return limits[limit].cost(architecture);
    sum += costs[limit].mixers[i][*mixer] + costs[limit].blocks[i][*block];
  }
  return sum;
}

}  // namespace thimble::search
