// A linear transform of a head's values over tokens and channels, with nothing to learn in it. Lee-Thorp et
// al., NAACL 2022 (FNet, over tokens and all channels); FlexiBERT (Tuli et al., JAIR 2023) in heads, the
// cosine transform as well. Orthonormal, which theirs are not: states keep their size whatever the length.
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::mixers {
namespace {

Value Mix(const proto::Mixer& mixer, MixerInput in, Ops& ops) {
  const proto::Fourier& spec = mixer.fourier();
  const HeadSize heads = HeadSizeOf(spec, in.heads, in.width);
  const Value value = ops.Linear("value", in.value, heads.count * heads.width);
  in.key = in.query = in.value = {};
  const Transform how = spec.transform() == proto::Fourier::DFT ? Transform::kDft : Transform::kDct;
  return ops.MergeHeads("context",
                        ops.Spectrum("spectrum", ops.SplitHeads("value", value, heads.count), how));
}

constexpr char kPython[] = R"py(class Fourier(Mixer):
    def __init__(self, config, spec):
        width = block_width(config)
        self.heads, self.transform = spec.get("heads") or config.num_attention_heads, spec["transform"]
        context = self.heads * (spec.get("head_width") or width // config.num_attention_heads)
        super().__init__(config, context)
        self.value = nn.Linear(value_width(config), context)

    def matrices(self, length, size):
        """Real and imaginary part [B, size, size] of the transform of the first `length` [B, 1, 1] of as many as `size` things."""
        i, j = torch.arange(size).view(1, -1, 1), torch.arange(size).view(1, 1, -1)
        real = ((i < length) & (j < length)).float()
        if self.transform == "DFT":
            angle = 2 * torch.pi * ((i * j) % length).float() / length
            return angle.cos() * real / length.sqrt(), angle.sin() * real / length.sqrt()
        angle = 2 * torch.pi * (((2 * j + 1) * i) % (4 * length)).float() / (4 * length)
        scale = torch.where(i == 0, 1.0, 2.0).div(length).sqrt()
        return angle.cos() * scale * real, None

    def mix(self, query_key, value, mask):
        x = self.value(value).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        tokens = [part if part is None else part.unsqueeze(1).to(x) for part in self.matrices(mask.sum(1).view(-1, 1, 1), mask.shape[1])]
        channels = [part if part is None else part.to(x) for part in self.matrices(torch.tensor([[[x.shape[-1]]]]), x.shape[-1])]
        mixed = tokens[0] @ x @ channels[0].transpose(-2, -1)
        if tokens[1] is not None:
            mixed = mixed - tokens[1] @ x @ channels[1]
        return mixed.transpose(1, 2).flatten(2)
)py";

}  // namespace

MixerEntry fourier() { return {.mix = Mix, .check = RefuseSharedQueryKey, .python = kPython}; }

}  // namespace thimble::models::mixers
