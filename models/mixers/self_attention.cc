// Multi-head scaled dot-product attention. Vaswani et al., NeurIPS 2017, section 3.2.
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::mixers {
namespace {

Value Mix(const proto::Mixer& mixer, MixerInput in, Ops& ops) {
  const proto::SelfAttention& spec = mixer.self_attention();
  const HeadSize size = HeadSizeOf(spec, in.heads, in.width);
  const int heads = size.count, width = heads * size.width;
  const auto part = [&](std::string_view name, Tapped tapped, const Value& x, Ops::Order order) {
    const Value linear = ops.Linear(name, x, width);
    ops.Tap(tapped, linear);
    return ops.SplitHeads(name, linear, heads, order);
  };
  Value query = part("query", Tapped::kQuery, in.query, Ops::Order::kTokensFirst);
  if (spec.similarity() == proto::SelfAttention::BILINEAR) {
    const Value weighed =
        ops.Linear("similarity", ops.MergeHeads("query", query), width, {.groups = heads, .bias = false});
    query = ops.SplitHeads("similarity", weighed, heads, Ops::Order::kTokensFirst);
  }
  const Value key = part("key", Tapped::kKey, in.key, Ops::Order::kChannelsFirst);
  const Value value = part("value", Tapped::kValue, in.value, Ops::Order::kTokensFirst);
  in.query = in.key = in.value = {};
  return ops.MergeHeads("context", ops.Attention(query, key, value, in.bias));
}

constexpr char kPython[] = R"py(class SelfAttention(Mixer):
    def __init__(self, config, spec):
        width = block_width(config)
        self.heads = spec.get("heads") or config.num_attention_heads
        context = self.heads * (spec.get("head_width") or width // config.num_attention_heads)
        super().__init__(config, context)
        self.query, self.key = nn.Linear(width, context), nn.Linear(width, context)
        self.value = nn.Linear(value_width(config), context)
        self.similarity = Grouped(context, context, self.heads, bias=False) if spec.get("similarity") == "BILINEAR" else None

    def mix(self, query_key, value, mask):
        query, key, value = (part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                             for part, x in ((self.query, query_key), (self.key, query_key), (self.value, value)))
        if self.similarity:
            query = self.similarity(query.transpose(1, 2).flatten(2)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        bias = ((1 - mask.to(query.dtype)) * MASKED)[:, None, None, :]
        return functional.scaled_dot_product_attention(query, key, value, bias).transpose(1, 2).flatten(2)
)py";

}  // namespace

MixerEntry self_attention() {
  return {.mix = Mix, .scope = "attention", .bert = true, .one_query = true, .python = kPython};
}

}  // namespace thimble::models::mixers
