// The proxy that was the only filter, under the name it had then.
#include "search/evaluators/evaluator.h"
#include "search/evaluators/proxy.h"

namespace thimble::search::filters {

std::vector<double> sliced_score(const proto::Stage& stage,
                                 const std::vector<proto::Architecture>& candidates, StudyBench& bench) {
  proto::Proxy proxy;
  proxy.mutable_metric();
  return ValuesOf(ProxyScores(proxy, candidates, "stage " + stage.name() + ": untrained scores", bench));
}

}  // namespace thimble::search::filters
