// Heads and neurons laid out over the layers within the budget (search/allocation.h): what the rules give at
// every hidden width, depth and embedding, the most promising of each first; then steps from the best that
// was seen, and random ones where there are no more.
#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "search/allocation.h"
#include "search/cut_damages.h"
#include "search/space_plan.h"
#include "search/strategy.h"

namespace thimble::search {
namespace {

constexpr int kTries = 100;         // steps that lead to nothing new, before the strategy ends
constexpr double kDeviation = 0.5;  // of damages' logarithms, where a plan is made anew
constexpr size_t kBest = 3;         // steps start from one of these

// A section as blocks with sizes.
class Layout {
 public:
  Layout(const SectionPlan& section, const Limit& limit, size_t index, const CutDamages& damages)
      : section_(section), budget_(limit.max) {
    const models::ResolvedArchitecture shape = models::Resolve(section.base);
    const PartCosts& parts = section.costs[index];
    const auto teacher_layers = static_cast<int>(damages.heads.size());
    costs_.fixed = parts.fixed;
    const auto depth = static_cast<int>(section.layers.size());
    for (int i = 0; i < depth; ++i) {
      const LayerPlan& layer = section.layers[i];
      const int from = TeacherLayerOf(i, depth, teacher_layers);
      std::vector<std::pair<int, int>> heads, neurons;  // size, place in the plan
      // Of several kinds with heads the first; a kind without is no size of anything.
      const auto scores = [&](const proto::Mixer& mixer) { return models::SizeOf(shape, mixer).heads; };
      const auto first = std::find_if(layer.mixers.begin(), layer.mixers.end(),
                                      [&](const auto& mixer) { return scores(mixer) > 0; });
      for (size_t k = 0; k < layer.mixers.size(); ++k)
        if (layer.mixers[k].has_none() ||
            (first != layer.mixers.end() && layer.mixers[k].kind_case() == first->kind_case()))
          heads.emplace_back(scores(layer.mixers[k]), static_cast<int>(k));
      for (size_t k = 0; k < layer.blocks.size(); ++k)
        if (layer.blocks[k].stacks == layer.blocks[0].stacks || layer.blocks[k].inner.has_none())
          neurons.emplace_back(models::InnerWidth(layer.blocks[k].inner, shape.ffn_hidden),
                               static_cast<int>(k));
      costs_.heads.push_back(Sizes(heads, parts.mixers[i], damages.heads[from], 1));
      costs_.neurons.push_back(Sizes(neurons, parts.blocks[i], damages.neurons[from], damages.neuron_step));
      places_.push_back({heads, neurons});
    }
    left_out_ = DamageOfDepth(damages, depth);
    whole_depth_ = depth == teacher_layers;
  }

  const AllocationCosts& costs() const { return costs_; }
  double budget() const { return budget_; }
  bool whole_depth() const { return whole_depth_; }
  // Of the blocks alone, summed: those of a layer that is left out are without all of theirs.
  double Damage(const Allocation& allocation) const { return costs_.DamageOf(allocation) + left_out_; }

  proto::Architecture Make(const Allocation& allocation) const {
    std::vector<int> choices;
    for (size_t i = 0; i < places_.size(); ++i) {
      choices.push_back(PlaceOf(places_[i].heads, allocation.heads[i]));
      choices.push_back(PlaceOf(places_[i].neurons, allocation.neurons[i]));
    }
    return section_.With(choices);
  }
  // What Make made it of; nothing if it is not of this section.
  std::optional<Allocation> Read(const proto::Architecture& architecture) const {
    if (!section_.Holds(architecture)) return std::nullopt;
    Allocation allocation;
    for (int i = 0; i < architecture.layer_size(); ++i) {
      const auto mixer = section_.layers[i].MixerOf(architecture.layer(i)),
                 block = section_.layers[i].BlockOf(architecture.layer(i));
      const auto size = [](const std::vector<std::pair<int, int>>& places,
                           std::optional<size_t> place) -> std::optional<int> {
        for (const auto& [size, at] : places)
          if (place && static_cast<size_t>(at) == *place) return size;
        return std::nullopt;
      };
      const auto heads = size(places_[i].heads, mixer), neurons = size(places_[i].neurons, block);
      if (!heads || !neurons) return std::nullopt;
      allocation.heads.push_back(*heads);
      allocation.neurons.push_back(*neurons);
    }
    return allocation;
  }

 private:
  struct Places {
    std::vector<std::pair<int, int>> heads, neurons;
  };

  static int PlaceOf(const std::vector<std::pair<int, int>>& places, int size) {
    for (const auto& [each, place] : places)
      if (each == size) return place;
    THIMBLE_CHECK(false, std::to_string(size));
    return 0;
  }

  // Sorts `places` by size.
  static BlockSizes Sizes(std::vector<std::pair<int, int>>& places, const std::vector<double>& costs,
                          const std::vector<double>& damages, int step) {
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end(),
                             [](const auto& a, const auto& b) { return a.first == b.first; }),
                 places.end());
    BlockSizes sizes;
    for (const auto& [size, place] : places) {
      sizes.sizes.push_back(size);
      sizes.costs.push_back(costs[place]);
      sizes.damages.push_back(DamageOfSize(damages, size, step));
    }
    return sizes;
  }

  const SectionPlan& section_;
  const double budget_;
  AllocationCosts costs_;
  std::vector<Places> places_;  // by layer, by size
  double left_out_ = 0;
  bool whole_depth_ = true;
};

class AllocationSearch final : public Strategy {
 public:
  AllocationSearch(const proto::Allocation& spec, const StageSpace& space, Random random, StageInput input)
      : spec_(spec), novelty_(space, random), random_(random), damages_(std::move(input.damages)) {
    CheckBudget();
    if (spec_.rule().empty())
      for (const auto rule : {proto::Allocation::PLAN, proto::Allocation::TAPER, proto::Allocation::UNIFORM,
                              proto::Allocation::RANDOM})
        spec_.add_rule(rule);
  }

  std::vector<proto::Architecture> Suggest(int count) override {
    if (layouts_.empty()) LayOut();
    std::vector<proto::Architecture> suggestions;
    for (const auto& [origin, architecture] : queue_) {
      if (static_cast<int>(suggestions.size()) == count) break;
      if (novelty_.Claim(architecture)) suggestions.push_back(architecture);
    }
    // Steps need something to start from: a first round holds the rules' students alone.
    while (spec_.steps() && !seen_.empty() && static_cast<int>(suggestions.size()) < count) {
      auto next = Step();
      if (!next) next = novelty_.Sample();
      if (!next) break;
      suggestions.push_back(std::move(*next));
    }
    return suggestions;
  }

  void Observe(const std::vector<Trial>& trials) override {
    novelty_.Observe(trials);
    for (const Trial& trial : trials)
      if (trial.state == TrialState::kComplete && !std::isnan(trial.value)) seen_.push_back(trial);
    std::stable_sort(seen_.begin(), seen_.end(),
                     [](const Trial& a, const Trial& b) { return a.value > b.value; });
  }

  std::string Origin(const proto::Architecture& suggestion) const override {
    const auto found = origins_.find(models::CanonicalArchitecture(suggestion));
    return found == origins_.end() ? kRandom : found->second;
  }

 private:
  struct Proposal {
    std::string origin;
    proto::Architecture architecture;
    double rank;
  };

  bool Has(proto::Allocation::Rule rule) const {
    return std::find(spec_.rule().begin(), spec_.rule().end(), rule) != spec_.rule().end();
  }

  // Before damages are worked out. Error (exit 2) if not even one head in one layer is within the budget.
  void CheckBudget() const {
    const StageSpace& space = novelty_.space();
    const Limit& limit = space.limits().back();
    double least = HUGE_VAL;
    for (const auto& section : space.sections()) {
      const PartCosts& parts = section.costs.back();
      const models::ResolvedArchitecture shape = models::Resolve(section.base);
      double head = HUGE_VAL;
      for (size_t i = 0; i < section.layers.size(); ++i) {
        const double none = *std::min_element(parts.mixers[i].begin(), parts.mixers[i].end());
        for (size_t k = 0; k < parts.mixers[i].size(); ++k)
          if (models::SizeOf(shape, section.layers[i].mixers[k]).heads > 0)
            head = std::min(head, parts.mixers[i][k] - none);
      }
      least = std::min(least, parts.Range().first + head);
    }
    const auto number = [&](double value) { return limit.Text(value) + " " + limit.what; };
    if (least > limit.max)
      throw BadRequest(limit.where, "no student with a head is within the budget", number(limit.max),
                       "at least " + number(least));
  }

  // Every section's students of every rule: all plans, then the best taper, uniform student and random one of
  // each section, the second best of each, and so on.
  void LayOut() {
    const StageSpace& space = novelty_.space();
    const size_t limit = space.limits().size() - 1;  // the target, where there is one
    std::map<int, CutDamages> damages;
    for (const auto& section : space.sections()) {
      auto& of_width = damages[section.base.hidden()];
      if (of_width.heads.empty()) of_width = damages_(section.base.hidden());
      layouts_.emplace_back(section, space.limits()[limit], limit, of_width);
    }
    std::vector<Proposal> all;
    for (size_t i = 0; i < layouts_.size(); ++i) {
      const Layout& layout = layouts_[i];
      const auto add = [&](const std::string& origin, double rank, const Allocation& allocation) {
        if (allocation.heads.empty()) return;
        auto architecture = layout.Make(allocation);
        // Without any heads tokens know nothing of each other.
        const bool heads = std::any_of(allocation.heads.begin(), allocation.heads.end(),
                                       [](int count) { return count > 0; });
        if (heads && space.Feasible(architecture)) all.push_back({origin, std::move(architecture), rank});
      };
      const auto add_best = [&](const std::string& origin, std::vector<Allocation> allocations, int most) {
        std::stable_sort(
            allocations.begin(), allocations.end(),
            [&](const Allocation& a, const Allocation& b) { return layout.Damage(a) < layout.Damage(b); });
        for (int k = 0; k < std::min<int>(most, static_cast<int>(allocations.size())); ++k)
          add(origin, k + 1, allocations[k]);
      };
      if (Has(proto::Allocation::UNIFORM))
        add_best(kUniform, Uniforms(layout.costs(), layout.budget()), spec_.uniforms());
      if (!layout.whole_depth()) continue;  // what layers that are left out cost is not additive
      if (Has(proto::Allocation::PLAN)) add("plan", 0, Plan(layout.costs(), layout.budget()));
      if (Has(proto::Allocation::TAPER))
        add_best("taper", Tapers(layout.costs(), layout.budget()), spec_.tapers());
      Random chance = random_.Fork("by chance", i);
      for (int k = 0; k < spec_.draws() && Has(proto::Allocation::RANDOM); ++k)
        add(kRandom, k + 1, RandomAllocation(layout.costs(), layout.budget(), &chance));
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Proposal& a, const Proposal& b) { return a.rank < b.rank; });
    for (auto& proposal : all)
      if (origins_.emplace(models::CanonicalArchitecture(proposal.architecture), proposal.origin).second)
        queue_.emplace_back(proposal.origin, std::move(proposal.architecture));
  }

  // Hand on, or plan anew with other damages, from one of the best.
  std::optional<proto::Architecture> Step() {
    Random* random = novelty_.stream();
    for (int i = 0; i < kTries && !seen_.empty(); ++i) {
      const Trial& best = seen_[random->Below(std::min(kBest, seen_.size()))];
      for (const Layout& layout : layouts_) {
        const auto allocation = layout.Read(best.architecture);
        if (!allocation) continue;
        const bool replan = layout.whole_depth() && random->Chance(1.0 / 3);
        auto step = layout.Make(replan ? NoisyPlan(layout.costs(), layout.budget(), kDeviation, random)
                                       : HandedOn(layout.costs(), *allocation, layout.budget(), random));
        if (!novelty_.space().Feasible(step) || !novelty_.Claim(step)) break;
        origins_.emplace(models::CanonicalArchitecture(step), "step");
        return step;
      }
    }
    return std::nullopt;
  }

  proto::Allocation spec_;
  Novelty novelty_;
  const Random random_;
  std::function<CutDamages(int)> damages_;
  std::vector<Layout> layouts_;
  std::vector<std::pair<std::string, proto::Architecture>> queue_;
  std::map<std::string, std::string> origins_;  // by canonical form
  std::vector<Trial> seen_;                     // complete, the best first
};

void Check(const proto::Stage& stage, const std::string& where) {
  for (const auto what : {proto::Stage::MIXER, proto::Stage::RATIO})
    if (std::find(stage.vary().begin(), stage.vary().end(), what) == stage.vary().end())
      throw BadRequest(where, "lays a budget out over heads and widths, and the stage does not vary both", "",
                       "vary: [HEADS, WIDTH, ...]");
  for (int i = 0; i < stage.strategy().allocation().rule_size(); ++i)
    for (int k = 0; k < i; ++k)
      if (stage.strategy().allocation().rule(i) == stage.strategy().allocation().rule(k))
        throw BadRequest(where + ".rule[" + std::to_string(i) + "]", "named twice",
                         proto::Allocation::Rule_Name(stage.strategy().allocation().rule(i)));
}

}  // namespace

StrategyEntry allocation() {
  return {.make = [](const proto::Strategy& spec, const StageSpace& space, Random random,
                     StageInput input) -> std::unique_ptr<Strategy> {
            return std::make_unique<AllocationSearch>(spec.allocation(), space, random, std::move(input));
          },
          .check = Check,
          .needs_damages = true};
}

}  // namespace thimble::search
