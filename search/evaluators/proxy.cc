// A proxy as an evaluator and as a filter.
#include "search/evaluators/proxy.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "models/encoder/resolve.h"
#include "search/evaluators/evaluator.h"
#include "search/evaluators/study_bench.h"
#include "train/batch.h"

namespace thimble::search {
namespace {

Score ToScore(const std::string& name, double value) {
  if (!std::isfinite(value)) return Failed(name + " is not finite");
  return {.value = value, .metrics = nlohmann::json{{name, value}}.dump()};
}

class ProxyEvaluator final : public Evaluator {
 public:
  explicit ProxyEvaluator(StudyBench& bench) : bench_(bench) {}

  std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) override {
    return ProxyScores(stage.evaluator().proxy(), Architectures(round), "stage " + stage.name() + ": scoring",
                       bench_);
  }

 private:
  StudyBench& bench_;
};

}  // namespace

ProxyFunction FunctionOf(const proto::Proxy& proxy) {
  const std::string& name = EntryOf(proxy).name;
#define PROXY(kind, ...) \
  if (name == #kind) return proxies::kind();
#include "search/proxies.inc"
#undef PROXY
  THIMBLE_CHECK(false, name);
  return {};
}

double NetworkValue(const proto::Proxy& proxy, const models::Model& network, const models::Batch& rows) {
  const bool gradients = EntryOf(proxy).needs_gradients;
  const at::AutoGradMode mode(gradients);
  if (!gradients) return FunctionOf(proxy).of_network(proxy, network, rows);
  models::Model leaves = network;  // with the same numbers: others may read them
  for (const auto& [name, tensor] : network.weights)
    leaves.weights.at(name) = tensor.detach().requires_grad_(true);
  return FunctionOf(proxy).of_network(proxy, leaves, rows);
}

std::vector<Score> ProxyScores(const proto::Proxy& proxy, const std::vector<proto::Architecture>& candidates,
                               const std::string& what, StudyBench& bench) {
  const std::string& name = EntryOf(proxy).name;
  const ProxyFunction function = FunctionOf(proxy);
  if (function.of_candidates != nullptr) return function.of_candidates(candidates, what, bench);
  const SpaceContext context = bench.data.Context();
  if (function.of_shape != nullptr)
    return bench.ScoreEach(what, candidates, [&](const proto::Architecture& architecture) {
      return ToScore(name, function.of_shape(models::Resolve(architecture), context.classes, context.head));
    });
  if (proxy.sliced())
    for (const auto& candidate : candidates)
      bench.Supernet(candidate);  // made before the candidates run side by side
  const auto count = std::min<size_t>(proxy.rows(), bench.data.holdout.examples.size());
  const models::Batch rows =
      train::MakeBatches(bench.data.holdout.Slice(0, count), static_cast<int>(count)).front();
  const Random random = Random(bench.study().seed()).Fork("proxy");
  return bench.ScoreEach(what, candidates, [&](const proto::Architecture& architecture) {
    const models::Model network =
        proxy.sliced() ? bench.Student(architecture)
                       : models::MakeModel(architecture, context.classes, 0, random, context.head);
    return ToScore(name, NetworkValue(proxy, network, rows));
  });
}

std::vector<double> ValuesOf(const std::vector<Score>& scores) {
  std::vector<double> values;
  for (const Score& score : scores) values.push_back(std::isfinite(score.value) ? score.value : -HUGE_VAL);
  return values;
}

namespace evaluators {
std::unique_ptr<Evaluator> proxy(StudyBench& bench) { return std::make_unique<ProxyEvaluator>(bench); }
}  // namespace evaluators

namespace filters {
std::vector<double> proxy(const proto::Stage& stage, const std::vector<proto::Architecture>& candidates,
                          StudyBench& bench) {
  return ValuesOf(
      ProxyScores(stage.filter().proxy(), candidates, "stage " + stage.name() + ": filtering", bench));
}
}  // namespace filters

}  // namespace thimble::search
