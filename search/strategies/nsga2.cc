// NSGA-II. Deb et al., A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, IEEE Transactions on
// Evolutionary Computation 6(2), 2002: of parents and children the better fronts survive, of the last that
// has room the least crowded; parents win a tournament of two by front, then by distance. A generation is
// `population` complete candidates, however many rounds they take.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "search/goals.h"
#include "search/pareto.h"
#include "search/strategy.h"

namespace thimble::search {
namespace {

// Children that have been seen before, after which a random candidate is proposed instead.
constexpr int kTries = 50;
// Of children of two parents, the share that is also mutated: of n fields, each changed with a chance of 1/n,
// one is in 1 - (1 - 1/n)^n.
constexpr double kMutated = 0.632;

std::vector<Goal> GoalsOf(const proto::Nsga2& spec) {
  std::vector<Goal> goals;
  for (const int goal : spec.goal()) goals.push_back(static_cast<Goal>(goal));
  return goals.empty() ? std::vector<Goal>{kScore, kParameters} : goals;
}

class Nsga2 final : public Strategy {
 public:
  Nsga2(const proto::Nsga2& spec, const StageSpace& space, Random random)
      : population_(spec.population()), crossover_(spec.crossover()), novelty_(space, random) {
    for (const Goal goal : GoalsOf(spec))
      costs_.push_back(goal == kScore ? nullptr
                                      : CostOf(goal, space.study(), space.context(), "strategy.nsga2.goal"));
  }

  std::vector<proto::Architecture> Suggest(int count) override {
    return novelty_.Propose(count, [this] { return !parents_.empty() ? Child() : std::nullopt; });
  }

  void Observe(const std::vector<Trial>& trials) override {
    novelty_.Observe(trials);
    for (const Trial& trial : trials) {
      if (trial.state != TrialState::kComplete || std::isnan(trial.value)) continue;
      Member member{.architecture = trial.architecture};
      for (const auto& cost : costs_) member.costs.push_back(cost ? cost(trial.architecture) : -trial.value);
      children_.push_back(std::move(member));
      if (children_.size() == population_) Select();
    }
  }

 private:
  struct Member {
    proto::Architecture architecture;
    Costs costs{};
    int front = 0;
    double distance = 0;
  };

  static bool Better(const Member& a, const Member& b) {
    return a.front != b.front ? a.front < b.front : a.distance > b.distance;
  }

  // The next parents, from parents and children.
  void Select() {
    for (auto& child : children_) parents_.push_back(std::move(child));
    children_.clear();
    std::vector<Costs> points;
    for (const Member& member : parents_) points.push_back(member.costs);
    const auto fronts = FrontsOf(points);
    for (int front = 0; front <= *std::max_element(fronts.begin(), fronts.end()); ++front) {
      std::vector<size_t> on;
      std::vector<Costs> costs;
      for (size_t i = 0; i < points.size(); ++i)
        if (fronts[i] == front) {
          on.push_back(i);
          costs.push_back(points[i]);
        }
      const auto distances = CrowdingDistances(costs);
      for (size_t k = 0; k < on.size(); ++k) {
        parents_[on[k]].front = front;
        parents_[on[k]].distance = distances[k];
      }
    }
    std::stable_sort(parents_.begin(), parents_.end(), Better);
    if (parents_.size() > population_) parents_.resize(population_);
  }

  const proto::Architecture& Parent() {
    const Member& a = parents_[novelty_.stream()->Below(parents_.size())];
    const Member& b = parents_[novelty_.stream()->Below(parents_.size())];
    return (Better(b, a) ? b : a).architecture;
  }

  std::optional<proto::Architecture> Child() {
    Random* random = novelty_.stream();
    for (int i = 0; i < kTries; ++i) {
      const proto::Architecture& first = Parent();
      std::optional<proto::Architecture> child;
      if (random->Chance(crossover_)) child = novelty_.space().Crossover(first, Parent(), random);
      if (!child || random->Chance(kMutated)) child = novelty_.space().Mutate(child ? *child : first, random);
      if (child && novelty_.Claim(*child)) return child;
    }
    return std::nullopt;
  }

  size_t population_;
  double crossover_;
  Novelty novelty_;
  std::vector<std::function<double(const proto::Architecture&)>> costs_;  // by goal; nullptr: the score
  std::vector<Member> parents_, children_;                                // parents: the best first
};

void Check(const proto::Stage& stage, const std::string& where) {
  const auto goals = GoalsOf(stage.strategy().nsga2());
  for (size_t i = 0; i < goals.size(); ++i)
    if (std::find(goals.begin(), goals.begin() + static_cast<int>(i), goals[i]) !=
        goals.begin() + static_cast<int>(i))
      throw BadRequest(where + ".goal[" + std::to_string(i) + "]", "named twice",
                       proto::Nsga2::Goal_Name(goals[i]));
  if (std::find(goals.begin(), goals.end(), kScore) == goals.end())
    throw BadRequest(where + ".goal", "costs are known without trials", proto::Nsga2::Goal_Name(goals[0]),
                     "SCORE among them");
}

void CheckStudy(const proto::Study& study, const proto::Stage& stage, const std::string& where) {
  for (const Goal goal : GoalsOf(stage.strategy().nsga2())) CheckGoal(goal, study, where + ".goal");
}

}  // namespace

StrategyEntry nsga2() {
  return {.make = [](const proto::Strategy& spec, const StageSpace& space, Random random, StageInput)
              -> std::unique_ptr<Strategy> { return std::make_unique<Nsga2>(spec.nsga2(), space, random); },
          .check = Check,
          .check_study = CheckStudy};
}

}  // namespace thimble::search
