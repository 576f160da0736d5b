#include "models/encoder/experts.h"

#include <algorithm>

#include "base/error.h"
#include "models/encoder/kinds.h"

namespace thimble::models {
namespace {

constexpr int kAdapterReduction = 64;  // of MEO's token level

Value Kind(const LayerShape& layer, int outer, const Value& x, Ops& ops) {
  return EntryOf(layer.ffn).run(layer, outer, x, ops);
}

Value RunRouted(const LayerShape& layer, int outer, const Value& x, Ops& ops) {
  const proto::RoutedExperts& routed = layer.ffn.routed();
  const Value route =
      ops.Route("router", ops.Linear("router", x, routed.count()), routed.count(), routed.noise());
  std::vector<Value> parts;
  for (int e = 0; e < routed.count(); ++e)
    parts.push_back(RunExpert(layer, e, outer, ops.TokensOfExpert("router", route, x, e), ops));
  const Value chosen = ops.Together("router", route, x, parts);
  if (routed.shared() == 0) return chosen;
  LayerShape shared = layer;
  shared.width = routed.shared();
  const Ops::Scope scope(ops, "shared");
  return ops.Combine("sum", Combination::kAdd, chosen, Kind(shared, outer, x, ops));
}

Value MergingGates(const proto::MergedExperts& merged, const Value& x, Ops& ops) {
  const int k = merged.k() > 0 ? merged.k() : merged.count();
  if (merged.level() == proto::MergedExperts::TASK)
    return ops.Gates("gate", ops.Parameter("gate", merged.count()), {}, k);
  const Value mean = ops.MeanToken("gate", x);
  const LinearForm zero{.starts_as_zero = true, .bias = false};
  const Value logits = ops.Linear("gate", mean, merged.count(), zero);
  return ops.Gates("gate", logits, ops.Linear("gate.spread", mean, merged.count(), zero), k);
}

Value RunMerged(const LayerShape& layer, int outer, const Value& x, Ops& ops) {
  const proto::MergedExperts& merged = layer.ffn.merged();
  const Value gates = MergingGates(merged, x, ops);
  Value in = x;
  if (merged.level() == proto::MergedExperts::TOKEN) {
    const int narrow = std::max(1, outer / kAdapterReduction);
    in = ops.Apply("adapter", Function::kRelu, ops.Linear("adapter.in", x, narrow));
    in = ops.Combine("adapter", Combination::kAdd, x,
                     ops.Linear("adapter.out", in, outer, {.starts_as_zero = true}));
  }
  const Ops::Merging merging(ops, gates, merged.count());
  return Kind(layer, outer, in, ops);
}

}  // namespace

const char kRoutedPython[] = R"py(def bare(block):
    block.norm = None
    return block


class Routed(Block):
    def __init__(self, config, spec, make, width):
        super().__init__(config)
        self.router = nn.Linear(block_width(config), spec["count"])
        self.expert = nn.ModuleList(bare(make(width)) for _ in range(spec["count"]))
        self.shared = bare(make(spec["shared"])) if spec["shared"] else None

    def value(self, x):
        share, choice = self.router(x).softmax(-1).max(-1)
        value = torch.zeros_like(x)
        for number, expert in enumerate(self.expert):
            value[choice == number] = expert(x[choice == number])
        value = value * (len(self.expert) * share).unsqueeze(-1)
        return value if self.shared is None else value + self.shared(x)
)py";

const char kMergedPython[] = R"py(class Merged(Block):
    reads_mask = True

    def __init__(self, config, spec, make, width):
        super().__init__(config)
        outer, count = block_width(config), spec["count"]
        self.expert = nn.ModuleList(make(width) for _ in range(count))
        for expert in self.expert:
            expert.norm = None
        self.level, self.k = spec["level"], spec["k"] or count
        if self.level == "TASK":
            self.gate = nn.Parameter(torch.zeros(1, count))
        else:
            self.gate = nn.Linear(outer, count, bias=False)
            self.gate.spread = nn.Linear(outer, count, bias=False)  # of noise in training
        if self.level == "TOKEN":
            narrow = max(1, outer // 64)
            self.adapter = nn.ModuleDict({"in": nn.Linear(outer, narrow), "out": nn.Linear(narrow, outer)})

    def gates(self, x, mask):
        if self.level == "TASK":
            logits = self.gate
        else:
            real = mask.unsqueeze(-1).to(x.dtype)
            logits = self.gate((x * real).sum(1) / real.sum(1).clamp(min=1))
        largest, places = logits.topk(self.k, -1)
        return torch.zeros_like(logits).scatter(-1, places, largest.softmax(-1))

    def forward(self, x, mask):
        entered = x
        if self.level == "TOKEN":
            entered = x + self.adapter["out"](torch.relu(self.adapter["in"](x)))
        parameters = [dict(expert.named_parameters()) for expert in self.expert]

        def row(gates, tokens):
            merged = {name: sum(gate * each[name] for gate, each in zip(gates, parameters)) for name in parameters[0]}
            return torch.func.functional_call(self.expert[0], merged, (tokens,))

        gates = self.gates(x, mask).expand(len(x), -1)
        return self.norm(x + torch.stack([row(*pair) for pair in zip(gates, entered)]))
)py";

Value RunExpert(const LayerShape& layer, int expert, int outer, const Value& x, Ops& ops) {
  const Ops::Scope scope(ops, "expert." + std::to_string(expert));
  return Kind(layer, outer, x, ops);
}

Value RunBlocks(const LayerShape& layer, int outer, const Value& x, Ops& ops) {
  if (layer.ffn.has_routed()) return RunRouted(layer, outer, x, ops);
  if (layer.ffn.has_merged()) return RunMerged(layer, outer, x, ops);
  return Kind(layer, outer, x, ops);
}

int Experts(const proto::FeedForward& ffn) {
  return ffn.has_routed() ? ffn.routed().count() : ffn.has_merged() ? ffn.merged().count() : 1;
}

bool ReadsOtherTokens(const proto::FeedForward& ffn) {
  return ffn.has_merged() && ffn.merged().level() != proto::MergedExperts::TASK;
}

void CheckExperts(const proto::FeedForward& ffn, int outer, int width, const std::string& where) {
  if (Experts(ffn) == 1) return;
  if (width == 0)
    throw BadRequest(where, "there is no block to be an expert", EntryOf(ffn).name,
                     "a kind that computes something");
  if (ffn.has_merged() && ffn.merged().k() > ffn.merged().count())
    throw BadRequest(where + ".merged.k", "more gates than experts", std::to_string(ffn.merged().k()),
                     "up to " + std::to_string(ffn.merged().count()));
  if (ffn.has_routed() && ffn.routed().shared() > 0)
    CheckGroups(ffn, outer, ffn.routed().shared(), where + ".routed.shared");
}

}  // namespace thimble::models
