// Linear attention: phi(q) (sum of phi(k) v^T) / phi(q) (sum of phi(k)). Its time is in proportion to the
// length. Katharopoulos et al., ICML 2020, equations 5 and 7, with phi = elu + 1; Zhang et al., ICLR 2024
// (Hedgehog), section 4, with learnt features that come near to a softmax: both signs, each a softmax over
// features.
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::mixers {
namespace {

constexpr double kLeast = 1e-6;  // added to what is divided by, as the authors' code

Value Mix(const proto::Mixer& mixer, MixerInput in, Ops& ops) {
  const int heads = mixer.linear_attention().heads() > 0 ? mixer.linear_attention().heads() : in.heads;
  const int width = heads * (in.width / in.heads);
  const auto linear = [&](std::string_view name, Tapped tapped, const Value& x) {
    const Value value = ops.Linear(name, x, width);
    ops.Tap(tapped, value);
    return value;
  };
  const bool learnt = mixer.linear_attention().features() == proto::LinearAttention::SOFTMAX;
  const int size = mixer.linear_attention().size() > 0 ? mixer.linear_attention().size() : width / heads;
  const auto phi = [&](std::string_view name, const Value& x) {
    if (!learnt) return ops.Affine(name, ops.Apply(name, Function::kElu, x), 1, 1);
    const Ops::Scope scope(ops, "features");
    const Value features = ops.Linear(name, x, heads * size, {.groups = heads, .bias = false});
    const Value against = ops.Affine(name, features, -1, 0);
    return ops.MergeHeads(name, ops.Concat(name, {ops.Softmax(name, ops.SplitHeads(name, features, heads)),
                                                  ops.Softmax(name, ops.SplitHeads(name, against, heads))}));
  };
  const Value query = ops.SplitHeads("query", phi("query", linear("query", Tapped::kQuery, in.query)), heads);
  const Value real = ops.MaskPadding("key", phi("key", linear("key", Tapped::kKey, in.key)));
  const Value key = ops.SplitHeads("key", real, heads, Ops::Order::kChannelsFirst);
  const Value value = ops.SplitHeads("value", linear("value", Tapped::kValue, in.value), heads);
  in.query = in.key = in.value = {};
  ops.ShowKernel(query, key);
  const Value moved = ops.MatMul("context", query, ops.ContractTokens("sums", key, value));
  const Value shares = ops.MatMul("shares", query, ops.SumTokens("shares", key));
  return ops.MergeHeads("context", ops.Divide("context", moved, ops.Affine("shares", shares, 1, kLeast)));
}

constexpr char kPython[] = R"py(class LinearAttention(Mixer):
    def __init__(self, config, spec):
        width = block_width(config)
        self.heads = spec.get("heads") or config.num_attention_heads
        context = self.heads * (width // config.num_attention_heads)
        super().__init__(config, context)
        self.query, self.key = nn.Linear(width, context), nn.Linear(width, context)
        self.value = nn.Linear(value_width(config), context)
        self.features = None
        if spec.get("features") == "SOFTMAX":
            size = self.heads * (spec.get("size") or context // self.heads)
            self.features = nn.ModuleDict({part: Grouped(context, size, self.heads, bias=False) for part in ("query", "key")})

    def phi(self, part, x):
        if self.features is None:
            return functional.elu(x) + 1
        x = self.features[part](x).unflatten(-1, (self.heads, -1))
        return torch.cat([x.softmax(-1), (-x).softmax(-1)], -1).flatten(-2)

    def mix(self, query_key, value, mask):
        query, key, value = self.phi("query", self.query(query_key)), self.phi("key", self.key(query_key)), self.value(value)
        key = key * mask.unsqueeze(-1).to(key.dtype)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value))
        moved = query @ (key.transpose(-2, -1) @ value)
        return (moved / (query @ key.sum(2).unsqueeze(-1) + 1e-6)).transpose(1, 2).flatten(2)
)py";

}  // namespace

MixerEntry linear_attention() { return {.mix = Mix, .one_query = true, .python = kPython}; }

}  // namespace thimble::models::mixers
