// Bayesian optimisation. Snoek et al., NeurIPS 2012: a Gaussian process (Matern 5/2) on Encoding::Scaled,
// refitted at every round by maximum marginal likelihood; a trial's standard error is its noise, beside one
// that all share. Of random candidates and of neighbours of the best ones that with the greatest expected
// improvement over the best posterior mean is proposed; further ones of a round as though it had scored what
// was expected of it.
#include <algorithm>
#include <cmath>

#include "search/learners/encoding.h"
#include "search/learners/gaussian_process.h"
#include "search/learners/scored_window.h"
#include "search/strategy.h"

namespace thimble::search {
namespace {

constexpr int kParents = 5;
constexpr double kNeighbours = 0.25;  // for one drawn candidate

class GaussianProcessSearch final : public Strategy {
 public:
  GaussianProcessSearch(const proto::GaussianProcess& spec, const StageSpace& space, Random random)
      : spec_(spec), novelty_(space, random), encoding_(space), window_(spec.window()) {}

  std::vector<proto::Architecture> Suggest(int count) override {
    std::vector<proto::Architecture> suggestions;
    if (window_.added() >= spec_.initial() && encoding_.width() > 0) suggestions = Promising(count);
    for (auto& drawn : novelty_.Propose(count - static_cast<int>(suggestions.size())))
      suggestions.push_back(std::move(drawn));
    return suggestions;
  }

  void Observe(const std::vector<Trial>& trials) override {
    novelty_.Observe(trials);
    for (const Trial& trial : trials)
      if (trial.state == TrialState::kComplete && !std::isnan(trial.value))
        window_.Add({trial.architecture, ToVector(encoding_.Scaled(trial.architecture)), trial.value,
                     trial.standard_error});
  }

 private:
  std::vector<proto::Architecture> Promising(int count) {
    const Standardised data = Standardise(window_.All());
    const auto parameters = GaussianProcess::MostLikely(data.points, data.values, data.known);
    const GaussianProcess process(data.points, data.values, data.known, parameters);
    const double best = process.At(data.points).mean.maxCoeff();

    std::vector<proto::Architecture> candidates;
    const auto add = [&](std::optional<proto::Architecture> candidate) {
      if (candidate) candidates.push_back(std::move(*candidate));
    };
    for (int i = 0; i < spec_.candidates(); ++i) add(novelty_.space().Sample(novelty_.stream()));
    const auto parents = window_.Best(kParents);
    for (int i = 0; i < kNeighbours * spec_.candidates(); ++i)
      add(novelty_.space().Mutate(parents[i % parents.size()]->architecture, novelty_.stream()));

    std::vector<proto::Architecture> suggestions;
    if (candidates.empty()) return suggestions;
    Eigen::MatrixXd points(encoding_.width(), candidates.size());
    for (size_t i = 0; i < candidates.size(); ++i)
      points.col(static_cast<Eigen::Index>(i)) = ToVector(encoding_.Scaled(candidates[i]));
    GaussianProcess::Believer believer(process, std::move(points));
    std::vector<bool> out(candidates.size());
    while (static_cast<int>(suggestions.size()) < count) {
      int chosen = -1;
      double most = -1;
      for (size_t i = 0; i < candidates.size(); ++i) {
        if (out[i]) continue;
        const auto& [mean, deviation] = believer.posterior();
        const double improvement = ExpectedImprovement(mean[static_cast<Eigen::Index>(i)],
                                                       deviation[static_cast<Eigen::Index>(i)], best);
        if (improvement > most) most = improvement, chosen = static_cast<int>(i);
      }
      if (chosen < 0) break;
      out[chosen] = true;
      if (!novelty_.Claim(candidates[chosen])) continue;
      believer.Believe(chosen);
      suggestions.push_back(candidates[chosen]);
    }
    return suggestions;
  }

  proto::GaussianProcess spec_;
  Novelty novelty_;
  Encoding encoding_;
  ScoredWindow window_;
};

}  // namespace

StrategyEntry gaussian_process() {
  return {.make = [](const proto::Strategy& spec, const StageSpace& space, Random random,
                     StageInput) -> std::unique_ptr<Strategy> {
    return std::make_unique<GaussianProcessSearch>(spec.gaussian_process(), space, random);
  }};
}

}  // namespace thimble::search
