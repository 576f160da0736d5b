// Gated long convolution. Fu et al., NeurIPS 2023 (Monarch Mixer), section 4.1; the operator is Hyena's (Poli
// et al., ICML 2023). The release makes the filters by a network and reads the short one's neighbours on one
// side alone; padding leaks into its tokens, here it is masked.
#include "base/error.h"
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::mixers {
namespace {

void Check(const proto::Mixer& mixer, const ResolvedArchitecture& shape, const std::string& where) {
  const proto::LongConvolution& spec = mixer.long_convolution();
  RequireMiddle(spec.short_kernel(), where + ".short_kernel");
  if (spec.reach() > shape.positions)
    throw BadRequest(where + ".reach", "is further than the longest row", std::to_string(spec.reach()),
                     "up to " + std::to_string(shape.positions) + ", Architecture.positions");
  RefuseSharedQueryKey(mixer, shape, where);
}

Value Mix(const proto::Mixer& mixer, MixerInput in, Ops& ops) {
  const proto::LongConvolution& spec = mixer.long_convolution();
  const int taps = 2 * (spec.reach() > 0 ? spec.reach() : in.positions) - 1;
  const Value x = ops.MaskPadding("real", in.value);
  in.key = in.query = in.value = {};
  const auto part = [&](const std::string& name, bool gate) {
    const Value linear = ops.Linear(name, x, in.width, {.starts_as_one = gate});
    return ops.Depthwise(name + ".short", ops.MaskPadding(name, linear), spec.short_kernel(),
                         /*starts_as_identity=*/true);
  };
  const Value gated = ops.Combine("entering", Combination::kMul, part("gate_in", true), part("value", false));
  const Value sum =
      ops.Depthwise("filter", ops.MaskPadding("entering", gated), taps, /*starts_as_identity=*/true);
  const Value context = ops.Combine("context", Combination::kMul, sum, part("gate_out", true));
  if (!spec.residual_filter()) return context;
  return ops.Combine("context", Combination::kAdd, context, ops.Depthwise("residual_filter", x, taps));
}

constexpr char kPython[] = R"py(class LongConvolution(Mixer):
    """Filters [width, taps]; the middle tap is the token itself."""

    def __init__(self, config, spec):
        width = block_width(config)
        super().__init__(config, width)
        taps = 2 * (spec.get("reach") or config.max_position_embeddings) - 1
        for name in ("gate_in", "gate_out", "value"):
            linear = nn.Linear(value_width(config), width)
            linear.short = Filter(width, spec["short_kernel"])
            setattr(self, name, linear)
        self.filter = Filter(width, taps)
        self.residual_filter = Filter(value_width(config), taps) if spec.get("residual_filter") else None

    def mix(self, query_key, value, mask):
        real = mask.unsqueeze(-1).to(value.dtype)
        x = value * real
        part = lambda linear: linear.short(linear(x) * real)
        context = self.filter(part(self.gate_in) * part(self.value) * real) * part(self.gate_out)
        return context + self.residual_filter(x) if self.residual_filter else context


class Filter(nn.Module):
    def __init__(self, width, taps):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, taps))

    def forward(self, x):
        width, taps = self.weight.shape
        side = min(x.shape[1] - 1, taps // 2)
        near = self.weight[:, taps // 2 - side:taps // 2 + side + 1].unsqueeze(1)
        return functional.conv1d(x.transpose(1, 2), near, padding=side, groups=width).transpose(1, 2)
)py";

}  // namespace

MixerEntry long_convolution() { return {.mix = Mix, .check = Check, .python = kPython}; }

}  // namespace thimble::models::mixers
