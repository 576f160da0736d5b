// Scores without training, which filter candidates or are what a stage goes by (docs/ranking.md): the facts
// of their catalogue, the list search/proxies.inc. The work is done in search/evaluators/proxies, one file an
// entry.
#pragma once
#include <string>
#include <vector>

#include "proto/study.pb.h"

namespace thimble::search {

struct SpaceContext;

struct ProxyEntry {
  std::string name{};  // oneof case in proto/study.proto
  // Looks at a network, of random weights or the sliced student: reads Proxy.sliced and Proxy.rows.
  bool network = false;
  bool needs_gradients = false;  // of what the network's head says
  bool needs_scores = false;     // of attention: mixers without them are refused
  bool needs_sliced = false;     // scores what is cut out of the teacher, whatever the fields say
};
const std::vector<ProxyEntry>& Proxies();
const ProxyEntry& EntryOf(const proto::Proxy& proxy);  // its kind is set

// EvaluatorEntry::check and FilterEntry::check: the proxy of a stage. Error (exit 2) where its fields do not
// go together, or the study lacks what it looks at.
void CheckEvaluatingProxy(const proto::Study& study, const proto::Stage& stage, const SpaceContext& context,
                          const std::string& where);
void CheckFilteringProxy(const proto::Study& study, const proto::Stage& stage, const SpaceContext& context,
                         const std::string& where);

}  // namespace thimble::search
