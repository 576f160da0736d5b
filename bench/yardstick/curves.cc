#include <cmath>

#include "base/error.h"
#include "base/parallel.h"
#include "bench/yardstick/yardstick.h"
#include "models/arch/architecture.h"
#include "search/strategy.h"

namespace thimble::bench {

std::vector<double> Regrets(const Yardstick& yardstick, const proto::Strategy& spec, uint64_t seed,
                            const std::vector<int>& queries, int round) {
  const Random random(seed), noise = random.Fork("noise");
  const auto strategy = search::MakeStrategy(spec, yardstick.space, random.Fork("strategy"));
  std::vector<double> regrets;
  double observed = -HUGE_VAL, regret = HUGE_VAL;
  for (int done = 0; done < queries.back();) {
    if (InterruptRequested()) throw Error("interrupted", kInterrupted);
    std::vector<search::Trial> trials;
    for (auto& architecture : strategy->Suggest(std::min(round, queries.back() - done))) {
      const double score = yardstick.score(architecture);
      Random own =
          noise.Fork(models::CanonicalArchitecture(architecture));  // the same one, whenever it is asked for
      const double value = score + yardstick.noise * own.Normal();
      if (value > observed) {
        observed = value;
        regret = yardstick.best - score;
      }
      if (static_cast<size_t>(regrets.size()) < queries.size() && ++done == queries[regrets.size()])
        regrets.push_back(regret);
      trials.push_back(
          {.architecture = std::move(architecture), .value = value, .standard_error = yardstick.noise});
    }
    if (trials.empty()) break;
    strategy->Observe(trials);
  }
  regrets.resize(queries.size(), regret);
  return regrets;
}

Curve CurveOf(const Yardstick& yardstick, const proto::Strategy& strategy, int seeds,
              const std::vector<int>& queries, int round, int threads, const std::function<void()>& done) {
  std::vector<std::vector<double>> all(seeds);
  ParallelFor(all.size(), threads, [&](size_t i) {
    all[i] = Regrets(yardstick, strategy, i + 1, queries, round);
    done();
  });
  Curve curve;
  for (size_t k = 0; k < queries.size(); ++k) {
    double sum = 0, squares = 0;
    for (const auto& regrets : all) sum += regrets[k];
    const double mean = sum / seeds;
    for (const auto& regrets : all) squares += (regrets[k] - mean) * (regrets[k] - mean);
    curve.mean.push_back(mean);
    curve.error.push_back(seeds > 1 ? std::sqrt(squares / (seeds - 1) / seeds) : 0);
  }
  return curve;
}

}  // namespace thimble::bench
