// Tree-structured Parzen estimator. Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS
// 2011: the trials are cut into good ones and others; a proposal is, of some points drawn from the density of
// the good ones, l, the one with the largest l / g, g being that of the others. Each choice of the space is
// estimated by itself (search/learners/parzen_choices.h). Expressions are too many to be estimated: a layer's
// is drawn from the good trials' at its place, now and then mutated, and says nothing of l / g.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "models/arch/architecture.h"
#include "models/arch/expression_sampling.h"
#include "search/learners/encoding.h"
#include "search/learners/parzen_choices.h"
#include "search/space_plan.h"
#include "search/strategy.h"

namespace thimble::search {
namespace {

constexpr int kTries = 100;    // draws for one point within the limits
constexpr int kNewTries = 20;  // proposals whose points have all been seen, before one is drawn at random

// Draws a place.
int Drawn(const std::vector<double>& shares, Random* random) {
  double left = random->Uniform();
  for (size_t i = 0; i < shares.size(); ++i)
    if ((left -= shares[i]) < 0) return static_cast<int>(i);
  return static_cast<int>(shares.size()) - 1;
}

// Numbers stand in an order, and so do heads of one kind of mixer, no mixer being no heads.
bool IsOrdered(const Encoding::Column& column) {
  std::set<int> kinds;
  for (size_t i = 0; i < column.kinds.size(); ++i)
    if (column.numbers[i] > 0) kinds.insert(column.kinds[i]);
  return column.what != Encoding::What::kEmbedding && column.what != Encoding::What::kForm &&
         kinds.size() <= 1;
}

// By place among the column's values the place in the order; the same without one.
std::vector<int> RanksOf(const Encoding::Column& column, bool ordered) {
  std::vector<int> ranks(column.values.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  if (!ordered) return ranks;
  for (size_t i = 0; i < ranks.size(); ++i)
    ranks[i] = static_cast<int>(std::count_if(column.numbers.begin(), column.numbers.end(),
                                              [&](double number) { return number < column.numbers[i]; }));
  return ranks;
}

// What a section offers, as places in the encoding's columns.
struct Offer {
  std::vector<int> global;  // by column that is not of a layer
  struct Layer {
    std::vector<int> mixers;                 // by LayerPlan::mixers
    std::vector<std::array<int, 3>> blocks;  // stacks, inner width and form, by LayerPlan::blocks
  };
  std::vector<Layer> layers;
};

class Tpe final : public Strategy {
 public:
  Tpe(const proto::Tpe& spec, const StageSpace& space, Random random)
      : spec_(spec), novelty_(space, random), encoding_(space) {
    const auto& columns = encoding_.columns();
    for (size_t i = 0; i < columns.size(); ++i) {
      places_[{columns[i].what, columns[i].layer}] = static_cast<int>(i);
      ordered_.push_back(IsOrdered(columns[i]));
      ranks_.push_back(RanksOf(columns[i], ordered_.back()));
    }
    for (const auto& section : space.sections()) offers_.push_back(OfferOf(section));
  }

  std::vector<proto::Architecture> Suggest(int count) override {
    const bool enough = seen_.size() >= static_cast<size_t>(spec_.initial());
    if (enough && estimates_.empty()) Estimate();
    return novelty_.Propose(count, [&] { return enough ? Promising() : std::nullopt; });
  }

  void Observe(const std::vector<Trial>& trials) override {
    novelty_.Observe(trials);
    for (const Trial& trial : trials) {
      if (trial.state != TrialState::kComplete || std::isnan(trial.value)) continue;
      estimates_.clear();
      Seen seen{
          .value = trial.value, .number = seen_.size(), .choices = encoding_.Choices(trial.architecture)};
      for (size_t i = 0; i < seen.choices.size(); ++i)
        if (seen.choices[i] >= 0) seen.choices[i] = ranks_[i][seen.choices[i]];
      seen_.push_back(std::move(seen));
      // Who is not among the best so many now never will be.
      best_.emplace_back(seen_.size() - 1, trial.architecture);
      std::stable_sort(best_.begin(), best_.end(), [&](const auto& a, const auto& b) {
        return seen_[a.first].value > seen_[b.first].value;
      });
      if (best_.size() > static_cast<size_t>(spec_.most_good())) best_.pop_back();
    }
  }

 private:
  struct Seen {
    double value;
    size_t number;
    std::vector<int> choices;  // ranks among a column's values
  };
  // Of a column: shares of each rank among good trials and among others.
  struct Shares {
    std::vector<double> good, other;
  };

  Offer OfferOf(const SectionPlan& section) const {
    Offer offer;
    const auto place = [&](Encoding::What what, int layer, const std::vector<int>& choices) {
      const auto found = places_.find({what, layer});
      if (found == places_.end() || choices[found->second] < 0) return -1;
      return ranks_[found->second][choices[found->second]];
    };
    const auto of_base = encoding_.Choices(section.base);
    for (const auto what : {Encoding::What::kHidden, Encoding::What::kLayers, Encoding::What::kEmbedding})
      offer.global.push_back(place(what, -1, of_base));
    for (int i = 0; i < static_cast<int>(section.layers.size()); ++i) {
      const LayerPlan& plan = section.layers[i];
      auto& layer = offer.layers.emplace_back();
      auto one = section.base;
      for (const auto& mixer : plan.mixers) {
        *one.mutable_layer(i)->mutable_mixer() = mixer;
        layer.mixers.push_back(place(Encoding::What::kMixer, i, encoding_.Choices(one)));
      }
      for (const auto& block : plan.blocks) {
        *one.mutable_layer(i)->mutable_ffn() =
            MakeFeedForward(block.inner, block.stacks, plan.base.ToString());
        const auto choices = encoding_.Choices(one);
        layer.blocks.push_back({place(Encoding::What::kStacks, i, choices),
                                place(Encoding::What::kInner, i, choices),
                                place(Encoding::What::kForm, i, choices)});
      }
    }
    return offer;
  }

  void Estimate() {
    const auto good =
        std::min<size_t>(std::ceil(spec_.good() * static_cast<double>(seen_.size())), best_.size());
    std::vector<bool> is_good(seen_.size(), false);
    for (size_t k = 0; k < good; ++k) is_good[best_[k].first] = true;
    good_ = good;
    for (size_t i = 0; i < ranks_.size(); ++i) {
      std::vector<int> of_good, of_other;
      for (const Seen& seen : seen_)
        if (seen.choices[i] >= 0) (is_good[seen.number] ? of_good : of_other).push_back(seen.choices[i]);
      const auto count = static_cast<int>(ranks_[i].size());
      const auto shares = ordered_[i] ? OrderedParzenShares : ParzenShares;
      estimates_.push_back({shares(of_good, count), shares(of_other, count)});
    }
    estimates_.emplace_back();  // there is an estimate where no column is
  }

  // Of what is offered, by the shares of each: `place` is its rank in the column, -1 where that says nothing.
  template <typename Offered, typename Share>
  size_t Pick(const std::vector<Offered>& offered, const Share& share) {
    std::vector<double> shares;
    double sum = 0;
    for (const Offered& each : offered) sum += shares.emplace_back(share(each));
    for (double& each : shares) each /= sum;
    return Drawn(shares, novelty_.stream());
  }
  double Good(Encoding::What what, int layer, int rank) const {
    const auto found = places_.find({what, layer});
    return found == places_.end() || rank < 0 ? 1 : estimates_[found->second].good[rank];
  }

  proto::Architecture Draw() {
    Random* random = novelty_.stream();
    const auto& sections = novelty_.space().sections();
    const size_t place = Pick(offers_, [&](const Offer& offer) {
      return Good(Encoding::What::kHidden, -1, offer.global[0]) *
             Good(Encoding::What::kLayers, -1, offer.global[1]) *
             Good(Encoding::What::kEmbedding, -1, offer.global[2]);
    });
    const SectionPlan& section = sections[place];
    std::vector<int> choices;
    for (int i = 0; i < static_cast<int>(section.layers.size()); ++i) {
      const auto& layer = offers_[place].layers[i];
      choices.push_back(static_cast<int>(
          Pick(layer.mixers, [&](int rank) { return Good(Encoding::What::kMixer, i, rank); })));
      choices.push_back(static_cast<int>(Pick(layer.blocks, [&](const std::array<int, 3>& ranks) {
        return Good(Encoding::What::kStacks, i, ranks[0]) * Good(Encoding::What::kInner, i, ranks[1]) *
               Good(Encoding::What::kForm, i, ranks[2]);
      })));
    }
    auto architecture = section.With(choices);
    for (int i = 0; i < architecture.layer_size(); ++i) {
      const LayerPlan& plan = section.layers[i];
      auto* ffn = architecture.mutable_layer(i)->mutable_ffn();
      if (plan.expressions && ffn->has_expression())
        ffn->set_expression(DrawExpression(plan, i, architecture.layer_size(), random));
    }
    return architecture;
  }

  // The prior weighs as much as a good trial.
  std::string DrawExpression(const LayerPlan& plan, int layer, int layers, Random* random) const {
    const size_t from = random->Below(good_ + 1);
    if (from == good_) return plan.expressions->Propose(plan.base, random).ToString();
    const auto& good = best_[from].second;
    const auto& ffn = good.layer(layer * good.layer_size() / layers).ffn();
    if (!ffn.has_expression()) return plan.base.ToString();
    if (!random->Chance(1.0 / layers)) return ffn.expression();
    const auto mutated = plan.expressions->Mutate(models::Expression::Parse(ffn.expression()), random);
    return mutated ? mutated->ToString() : ffn.expression();
  }

  double LogRatio(const proto::Architecture& architecture) const {
    const auto choices = encoding_.Choices(architecture);
    double sum = 0;
    for (size_t i = 0; i < choices.size(); ++i) {
      if (choices[i] < 0) continue;
      const int rank = ranks_[i][choices[i]];
      sum += std::log(estimates_[i].good[rank]) - std::log(estimates_[i].other[rank]);
    }
    return sum;
  }

  std::optional<proto::Architecture> Promising() {
    for (int i = 0; i < kNewTries; ++i) {
      std::vector<std::pair<double, proto::Architecture>> candidates;
      for (int k = 0; k < spec_.candidates(); ++k) {
        std::optional<proto::Architecture> point;
        for (int t = 0; t < kTries && !point; ++t)
          point = novelty_.space().Nearest(Draw(), novelty_.stream());
        if (!point)
          point = novelty_.space().Mutate(best_[novelty_.stream()->Below(good_)].second, novelty_.stream());
        if (point) candidates.emplace_back(LogRatio(*point), std::move(*point));
      }
      std::stable_sort(candidates.begin(), candidates.end(),
                       [](const auto& a, const auto& b) { return a.first > b.first; });
      for (auto& [ratio, point] : candidates)
        if (novelty_.Claim(point)) return std::move(point);
    }
    return std::nullopt;
  }

  const proto::Tpe spec_;
  Novelty novelty_;
  Encoding encoding_;
  std::map<std::pair<Encoding::What, int>, int> places_;  // of columns
  std::vector<std::vector<int>> ranks_;                   // of a column's values, by place
  std::vector<bool> ordered_;
  std::vector<Offer> offers_;  // by section
  std::vector<Seen> seen_;
  std::vector<std::pair<size_t, proto::Architecture>> best_;  // numbers among `seen_`, the best first
  size_t good_ = 0;
  std::vector<Shares> estimates_;  // by column; empty: to be made
};

}  // namespace

StrategyEntry tpe() {
  return {.make = [](const proto::Strategy& spec, const StageSpace& space, Random random,
                     StageInput) -> std::unique_ptr<Strategy> {
    return std::make_unique<Tpe>(spec.tpe(), space, random);
  }};
}

}  // namespace thimble::search
