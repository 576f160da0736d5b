// The mean of all tokens' values for each of them: what is left of attention if it looks at nothing.
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::mixers {
namespace {

Value Mix(const proto::Mixer&, MixerInput in, Ops& ops) {
  const Value value = ops.Linear("value", in.value, in.width);
  in.key = in.query = in.value = {};
  // A channel of ones, so that sums over tokens are sums and counts of real ones.
  const Value ones = ops.Affine("ones", ops.Crop("ones", value, 1), 0, 1);
  const Value key = ops.SplitHeads("real", ops.MaskPadding("real", ones), 1, Ops::Order::kChannelsFirst);
  const Value query = ops.SplitHeads("ones", ones, 1);
  const Value sums = ops.ContractTokens("sums", key, ops.SplitHeads("value", value, 1));
  const Value mean = ops.Divide("mean", ops.MatMul("sums", query, sums),
                                ops.MatMul("count", query, ops.SumTokens("count", key)));
  return ops.MergeHeads("context", mean);
}

constexpr char kPython[] = R"py(class UniformAttention(Mixer):
    def __init__(self, config, spec):
        width = block_width(config)
        super().__init__(config, width)
        self.value = nn.Linear(value_width(config), width)

    def mix(self, query_key, value, mask):
        real = mask.unsqueeze(-1).to(value.dtype)
        mean = (self.value(value) * real).sum(1, keepdim=True) / real.sum(1, keepdim=True)
        return mean.expand(-1, value.shape[1], -1)
)py";

}  // namespace

MixerEntry uniform_attention() { return {.mix = Mix, .check = RefuseSharedQueryKey, .python = kPython}; }

}  // namespace thimble::models::mixers
