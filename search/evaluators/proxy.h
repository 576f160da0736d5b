// How candidates are scored without training (search/proxy.h). Each file in search/evaluators/proxies defines
// one function, which says how its value is computed.
#pragma once
#include <string>
#include <vector>

#include "models/model.h"
#include "search/controller.h"
#include "search/proxy.h"

namespace thimble::search {

class StudyBench;

// One of the three. Higher is better; what is not finite is no score.
struct ProxyFunction {
  // The value of a network, for entries that look at one. Its weights require gradients where the entry needs
  // them. Runs beside others.
  double (*of_network)(const proto::Proxy& proxy, const models::Model& network,
                       const models::Batch& rows) = nullptr;
  double (*of_shape)(const models::ResolvedArchitecture& shape, int classes, models::TaskHead head) = nullptr;
  // `what` is being done, for the progress.
  std::vector<Score> (*of_candidates)(const std::vector<proto::Architecture>& candidates,
                                      const std::string& what, StudyBench& bench) = nullptr;
};
ProxyFunction FunctionOf(const proto::Proxy& proxy);  // its kind is set

// The value of an entry that looks at a network: a function of network and rows, on the calling thread's
// torch threads.
double NetworkValue(const proto::Proxy& proxy, const models::Model& network, const models::Batch& rows);

// A score for each candidate, side by side on all cores: a function of study and candidate.
std::vector<Score> ProxyScores(const proto::Proxy& proxy, const std::vector<proto::Architecture>& candidates,
                               const std::string& what, StudyBench& bench);
// What a filter goes by: what has no score is the worst.
std::vector<double> ValuesOf(const std::vector<Score>& scores);

namespace proxies {
#define PROXY(name, ...) ProxyFunction name();
#include "search/proxies.inc"
#undef PROXY
}  // namespace proxies

}  // namespace thimble::search
