// Multi-head scaled dot-product attention. Vaswani et al., NeurIPS 2017, section 3.2.
#include "models/encoder/kinds.h"

namespace thimble::models {

Value SelfAttention(MixerInput in, Ops& ops) {
  const auto part = [&](std::string_view name, Tapped tapped, const Value& x, Ops::Order order) {
    const Value linear = ops.Linear(name, x, in.width);
    ops.Tap(tapped, linear);
    return ops.SplitHeads(name, linear, in.heads, order);
  };
  const Value query = part("query", Tapped::kQuery, in.query_key, Ops::Order::kTokensFirst);
  const Value key = part("key", Tapped::kKey, in.query_key, Ops::Order::kChannelsFirst);
  const Value value = part("value", Tapped::kValue, in.value, Ops::Order::kTokensFirst);
  in.query_key = in.value = {};
  return ops.MergeHeads("context", ops.Attention(query, key, value, in.bias));
}

}  // namespace thimble::models
