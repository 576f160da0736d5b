#include "search/proxy.h"

#include <algorithm>

#include "base/catalogue.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "search/evaluator.h"
#include "search/space.h"

namespace thimble::search {
namespace {

// Layers that exchange nothing have no head to be sure of anything. What exchanges tokens in another way
// would be told apart by that alone.
void RequireScores(const proto::Space& space, const SpaceContext& context, const std::string& where) {
  const models::ResolvedArchitecture shape = models::Resolve(SeedArchitecture(space, context));
  const int depth = *std::max_element(space.layers().begin(), space.layers().end());
  for (int i = 0; i < depth; ++i) {
    const proto::LayerSpace choices = LayerChoices(space, i);
    for (const auto& mixer : choices.mixer()) {
      const auto size = models::SizeOf(shape, mixer);
      if (size.context > 0 && size.heads == 0)
        throw BadRequest(where, "looks at attention scores, and a mixer of the space has none",
                         models::TextOf(mixer),
                         "self_attention and none, or " +
                             NamesIn(Proxies(), [](const ProxyEntry& entry) { return !entry.needs_scores; }));
    }
  }
}

void Check(const proto::Proxy& proxy, const proto::Study& study, const SpaceContext& context,
           const std::string& where) {
  const ProxyEntry& entry = EntryOf(proxy);
  const std::string of_kind = where + "." + entry.name;
  const auto refuse = [&](const char* field, const std::string& value) {
    throw BadRequest(where + "." + field,
                     entry.name + " does not look at a network that this could say something of", value,
                     NamesIn(Proxies(), [](const ProxyEntry& each) { return each.network; }));
  };
  if (!entry.network && proxy.has_sliced()) refuse("sliced", proxy.sliced() ? "true" : "false");
  if (!entry.network && proxy.has_rows()) refuse("rows", std::to_string(proxy.rows()));
  if (entry.needs_sliced) RequireSliced(study, of_kind, "another proxy");
  if (proxy.sliced()) RequireSliced(study, where + ".sliced", "sliced: false");
  if (entry.needs_scores) RequireScores(study.space(), context, of_kind);
}

}  // namespace

const std::vector<ProxyEntry>& Proxies() {
  static const std::vector<ProxyEntry> entries = {
#define PROXY(kind, ...) ProxyEntry{.name = #kind, __VA_ARGS__},
#include "search/proxies.inc"
#undef PROXY
  };
  return entries;
}

const ProxyEntry& EntryOf(const proto::Proxy& proxy) { return EntryIn(Proxies(), proxy); }

void CheckEvaluatingProxy(const proto::Study& study, const proto::Stage& stage, const SpaceContext& context,
                          const std::string& where) {
  Check(stage.evaluator().proxy(), study, context, where);
}

void CheckFilteringProxy(const proto::Study& study, const proto::Stage& stage, const SpaceContext& context,
                         const std::string& where) {
  Check(stage.filter().proxy(), study, context, where);
}

}  // namespace thimble::search
