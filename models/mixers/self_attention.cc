// Multi-head scaled dot-product attention. Vaswani et al., NeurIPS 2017, section 3.2. What is added to its
// scores by position: attention_biases/.
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::mixers {
namespace {

// Zheng et al., 2024 (DAPE V2), section 3: S + B + conv(leaky_relu(conv([S, B]))). A key that is padding is
// zero to a token beside it, so that company changes nothing.
Value Convolved(const proto::ScoreConvolution& spec, int heads, const Value& scores, const Value& bias,
                Ops& ops) {
  const Ops::Scope scope(ops, "convolution");
  Value sum = ops.KeyConvolution("scores", ops.MaskKeys("scores", scores), spec.channels(), spec.kernel());
  if (bias) {
    const Value of_bias = ops.KeyConvolution("bias_maps", ops.MaskKeys("bias_maps", bias), spec.channels(),
                                             spec.kernel(), {.bias = false});
    sum = ops.Combine("scores", Combination::kAdd, sum, of_bias);
  }
  // Between the two, too, zeros stand where keys are padding.
  const Value inner = ops.MaskKeys("inner", ops.Apply("inner", Function::kLeakyRelu, sum));
  const Value added = ops.KeyConvolution("last", inner, heads, spec.kernel(), {.starts_as_zero = true});
  const Value biased = bias ? ops.Combine("biased", Combination::kAdd, scores, bias) : scores;
  return ops.Combine("sum", Combination::kAdd, biased, added);
}

Value BiasMaps(const proto::Mixer& mixer, int heads, Tokens queries, Ops& ops) {
  const AttentionBiasEntry* bias = BiasOf(mixer);
  if (bias == nullptr) return {};
  const Ops::Scope scope(ops, bias->name);
  return bias->maps(mixer.self_attention(), heads, queries, ops);
}

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
  const Value bias = BiasMaps(mixer, heads, in.queries, ops);
  if (!spec.has_convolution())
    return ops.MergeHeads("context", ops.Attention(query, key, value, in.bias, Ops::Scores::kShown, bias));
  const Value scores = Convolved(spec.convolution(), heads, ops.Similarities(query, key), bias, ops);
  return ops.MergeHeads("context", ops.Attend(scores, value, in.bias));
}

void Check(const proto::Mixer& mixer, const ResolvedArchitecture&, const std::string& where) {
  RequireMiddle(mixer.self_attention().convolution().kernel(), where + ".convolution.kernel");
}

constexpr char kPython[] = R"py(class ScoreConvolution(nn.Module):
    def __init__(self, spec, heads, biased):
        super().__init__()
        self.kernel, channels = spec["kernel"], spec["channels"]
        self.scores, self.last = nn.Linear(heads * self.kernel, channels), nn.Linear(channels * self.kernel, heads)
        self.bias_maps = nn.Linear(heads * self.kernel, channels, bias=False) if biased else None

    def along_keys(self, linear, maps, real):
        weight = linear.weight.unflatten(1, (-1, 1, self.kernel))
        return functional.conv2d(maps * real, weight, linear.bias, padding=(0, self.kernel // 2))

    def forward(self, scores, bias, mask):
        real = mask.to(scores.dtype)[:, None, None, :]
        inner = self.along_keys(self.scores, scores, real)
        if self.bias_maps:
            inner = inner + self.along_keys(self.bias_maps, bias.expand_as(scores), real)
            scores = scores + bias
        return scores + self.along_keys(self.last, functional.leaky_relu(inner), real)


class SelfAttention(Mixer):
    def __init__(self, config, spec):
        width = block_width(config)
        self.heads = spec.get("heads") or config.num_attention_heads
        context = self.heads * (spec.get("head_width") or width // config.num_attention_heads)
        super().__init__(config, context)
        self.query, self.key = nn.Linear(width, context), nn.Linear(width, context)
        self.value = nn.Linear(value_width(config), context)
        self.similarity = Grouped(context, context, self.heads, bias=False) if spec.get("similarity") == "BILINEAR" else None
        self.bias = next((kind for kind in BIASES if kind in spec), None)
        if self.bias:
            self.add_module(self.bias, BIASES[self.bias](spec[self.bias], self.heads))
        self.convolution = ScoreConvolution(spec["convolution"], self.heads, self.bias) if "convolution" in spec else None

    def mix(self, query_key, value, mask):
        query, key, value = (part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                             for part, x in ((self.query, query_key), (self.key, query_key), (self.value, value)))
        if self.similarity:
            query = self.similarity(query.transpose(1, 2).flatten(2)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        bias = ((1 - mask.to(query.dtype)) * MASKED)[:, None, None, :]
        maps = getattr(self, self.bias)(mask) if self.bias else None
        if self.convolution:
            scores = self.convolution(query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5, maps, mask)
            return ((scores + bias).softmax(-1) @ value).transpose(1, 2).flatten(2)
        bias = bias if maps is None else bias + maps
        return functional.scaled_dot_product_attention(query, key, value, bias).transpose(1, 2).flatten(2)
)py";

}  // namespace

MixerEntry self_attention() {
  return {
      .mix = Mix, .check = Check, .scope = "attention", .bert = true, .one_query = true, .python = kPython};
}

}  // namespace thimble::models::mixers
