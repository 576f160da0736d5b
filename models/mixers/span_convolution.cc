// Span-based dynamic convolution. Jiang et al., NeurIPS 2020 (ConvBERT), section 4.2: the weights of a
// token's neighbours come from its query and from keys of its surroundings. The release lets padding leak
// into the last tokens; here it is masked.
#include "base/error.h"
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::mixers {
namespace {

void Check(const proto::Mixer& mixer, const ResolvedArchitecture& shape, const std::string& where) {
  const proto::SpanConvolution& spec = mixer.span_convolution();
  RequireMiddle(spec.kernel(), where + ".kernel");
  const int heads = HeadSizeOf(spec, shape.heads, shape.block_width()).count;
  if (spec.attention() && heads % 2 != 0)
    throw BadRequest(where + ".heads", "half of them attend", std::to_string(heads),
                     "an even number, or attention: false");
  if (shape.share_query_key)
    throw BadRequest(where, "reads one state, of whose channels a bottleneck has two",
                     "share_query_key: true", "another mixer, or a bottleneck that shares nothing");
}

Value Mix(const proto::Mixer& mixer, MixerInput in, Ops& ops) {
  const proto::SpanConvolution& spec = mixer.span_convolution();
  const HeadSize all = HeadSizeOf(spec, in.heads, in.width);
  const int heads = spec.attention() ? all.count / 2 : all.count, width = heads * all.width;
  const Value query = ops.Linear("query", in.key, width);
  std::vector<Value> contexts;
  if (spec.attention()) {
    const Value key =
        ops.SplitHeads("key", ops.Linear("key", in.key, width), heads, Ops::Order::kChannelsFirst);
    const Value value = ops.SplitHeads("value", ops.Linear("value", in.value, width), heads);
    contexts.push_back(ops.MergeHeads("attended", ops.Attention(ops.SplitHeads("query", query, heads), key,
                                                                value, in.bias, Ops::Scores::kHidden)));
  }
  const Value real = ops.MaskPadding("real", in.key);
  const Value span = ops.Linear("span.key", ops.Depthwise("span.neighbours", real, spec.kernel()), width);
  const Value kernel = ops.Linear("span.kernel", ops.Combine("span.kernel", Combination::kMul, span, query),
                                  heads * spec.kernel());
  const Value weights = ops.Softmax("span.kernel", ops.SplitHeads("span.kernel", kernel, heads));
  const Value value = ops.MaskPadding("span.value", ops.Linear("span.value", in.value, width));
  in.key = in.query = in.value = {};
  contexts.push_back(ops.MergeHeads(
      "convolved",
      ops.LocalSum("span.sum", weights, ops.SplitHeads("span.value", value, heads), spec.kernel())));
  return contexts.size() == 1 ? contexts[0] : ops.Concat("context", contexts);
}

constexpr char kPython[] = R"py(class Depthwise(nn.Module):
    def __init__(self, width, kernel):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, kernel))

    def forward(self, x):
        width, kernel = self.weight.shape
        return functional.conv1d(x.transpose(1, 2), self.weight.unsqueeze(1), padding=kernel // 2, groups=width).transpose(1, 2)


class SpanConvolution(Mixer):
    def __init__(self, config, spec):
        width, value = block_width(config), value_width(config)
        heads = spec.get("heads") or config.num_attention_heads
        self.attention, self.kernel = spec["attention"], spec["kernel"]
        self.heads = heads // 2 if self.attention else heads
        size = self.heads * (spec.get("head_width") or width // config.num_attention_heads)
        super().__init__(config, 2 * size if self.attention else size)
        self.query = nn.Linear(width, size)
        if self.attention:
            self.key, self.value = nn.Linear(width, size), nn.Linear(value, size)
        self.span = nn.ModuleDict({"neighbours": Depthwise(width, self.kernel), "key": nn.Linear(width, size),
                                   "kernel": nn.Linear(size, self.heads * self.kernel), "value": nn.Linear(value, size)})

    def mix(self, query_key, value, mask):
        split = lambda x: x.unflatten(-1, (self.heads, -1))
        real, query, contexts = mask.unsqueeze(-1).to(value.dtype), self.query(query_key), []
        if self.attention:
            heads = (split(x).transpose(1, 2) for x in (query, self.key(query_key), self.value(value)))
            bias = ((1 - mask.to(query.dtype)) * MASKED)[:, None, None, :]
            contexts.append(functional.scaled_dot_product_attention(*heads, bias).transpose(1, 2).flatten(2))
        span = self.span["key"](self.span["neighbours"](query_key * real))
        weights = split(self.span["kernel"](span * query)).softmax(-1)
        around = functional.pad(self.span["value"](value) * real, (0, 0, self.kernel // 2, self.kernel // 2))
        around = split(around.unfold(1, self.kernel, 1).transpose(-2, -1)).transpose(2, 3)  # [B, T, H, kernel, channels]
        contexts.append((weights.unsqueeze(-1) * around).sum(-2).flatten(2))
        return torch.cat(contexts, -1)
)py";

}  // namespace

MixerEntry span_convolution() { return {.mix = Mix, .check = Check, .python = kPython}; }

}  // namespace thimble::models::mixers
