// Regularised evolution. Real et al., Regularized Evolution for Image Classifier Architecture Search, AAAI
// 2019, algorithm 1: the population is the youngest P evaluated candidates; a tournament of S members drawn
// with replacement names a parent, the parent is mutated once, and the oldest member dies whatever its value.
// One difference: a round's candidates are proposed together, from the population as it stands before the
// round.
#include <cmath>
#include <deque>

#include "base/error.h"
#include "search/strategy.h"

namespace thimble::search {
namespace {

// Tournaments whose child has been seen before, after which a random candidate is proposed instead.
constexpr int kTries = 50;

class Evolution final : public Strategy {
 public:
  Evolution(const proto::Evolution& spec, const StageSpace& space, Random random)
      : population_size_(spec.population()), tournament_(spec.tournament()), novelty_(space, random) {}

  std::vector<proto::Architecture> Suggest(int count) override {
    return novelty_.Propose(
        count, [this] { return population_.size() == population_size_ ? Child() : std::nullopt; });
  }

  void Observe(const std::vector<Trial>& trials) override {
    novelty_.Observe(trials);
    for (const Trial& trial : trials) {
      if (trial.state != TrialState::kComplete || std::isnan(trial.value)) continue;
      population_.push_back(trial);
      if (population_.size() > population_size_) population_.pop_front();
    }
  }

 private:
  const proto::Architecture& Parent() {
    const Trial* winner = nullptr;
    for (int i = 0; i < tournament_; ++i) {
      const Trial& member = population_[novelty_.stream()->Below(population_.size())];
      if (winner == nullptr || member.value > winner->value) winner = &member;
    }
    return winner->architecture;
  }

  std::optional<proto::Architecture> Child() {
    for (int i = 0; i < kTries; ++i) {
      auto child = novelty_.space().Mutate(Parent(), novelty_.stream());
      if (child && novelty_.Claim(*child)) return child;
    }
    return std::nullopt;
  }

  size_t population_size_;
  int tournament_;
  Novelty novelty_;
  std::deque<Trial> population_;  // oldest first
};

void Check(const proto::Stage& stage, const std::string& where) {
  const auto& evolution = stage.strategy().evolution();
  if (evolution.tournament() > evolution.population())
    throw BadRequest(where + ".tournament", "larger than the population",
                     std::to_string(evolution.tournament()),
                     "at most " + std::to_string(evolution.population()));
}

}  // namespace

StrategyEntry evolution() {
  return {.make = [](const proto::Strategy& spec, const StageSpace& space, Random random,
                     StageInput) -> std::unique_ptr<Strategy> {
            return std::make_unique<Evolution>(spec.evolution(), space, random);
          },
          .check = Check};
}

}  // namespace thimble::search
