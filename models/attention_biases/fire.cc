// Functional interpolation for relative positions: a perceptron of log(c d + 1) / log(c max(f, 512 m) + 1), d
// the distance of two tokens and f that of the first to the farthest of its row. Li et al., ICLR 2024,
// equations 3 and 6; there tokens look back alone, and f is the token's place. c and m start as the authors'.
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::attention_biases {
namespace {

constexpr double kRate = 0.1, kThreshold = 512, kLeast = 1e-6;

Value Maps(const proto::SelfAttention& spec, int heads, Tokens queries, Ops& ops) {
  const auto positive = [&](std::string_view name, double start) {
    return ops.Apply(name, Function::kAbs, ops.Numbers(name, 1, {.low = start, .high = start}));
  };
  const Value rate = positive("rate", kRate);
  const auto grown = [&](std::string_view name, const Value& x) {
    const Value product = ops.Combine(name, Combination::kMul, x, rate);
    return ops.Apply(name, Function::kLog, ops.Affine(name, product, 1, 1));
  };
  const Value threshold = ops.Affine("threshold", positive("threshold", 1), kThreshold, 0);
  const Value farthest =
      ops.Combine("farthest", Combination::kMax, ops.Farthest("farthest", queries), threshold);
  const Value share = ops.Divide("share", grown("distances", ops.Distances("distances", queries)),
                                 ops.Affine("farthest", grown("farthest", farthest), 1, kLeast));
  const Value hidden =
      ops.Apply("hidden", Function::kRelu, ops.KeyConvolution("hidden", share, spec.fire().width(), 1));
  return ops.KeyConvolution("last", hidden, heads, 1, {.starts_as_zero = true});
}

constexpr char kPython[] = R"py(class Fire(nn.Module):
    def __init__(self, spec, heads):
        super().__init__()
        self.rate, self.threshold = nn.Parameter(torch.full((1,), 0.1)), nn.Parameter(torch.ones(1))
        self.hidden, self.last = nn.Linear(1, spec["width"]), nn.Linear(spec["width"], heads)

    def forward(self, mask):
        place = torch.arange(mask.shape[1], device=mask.device)
        distances = (place - place.unsqueeze(1)).abs().to(self.rate.dtype)
        farthest = torch.maximum(place, mask.sum(1, keepdim=True) - 1 - place).to(self.rate.dtype)
        farthest = torch.maximum(farthest, 512 * self.threshold.abs()).unsqueeze(-1)
        share = (1 + self.rate.abs() * distances).log() / ((1 + self.rate.abs() * farthest).log() + 1e-6)
        return self.last(functional.relu(self.hidden(share.unsqueeze(-1)))).movedim(-1, 1)
)py";

}  // namespace

AttentionBiasEntry fire() { return {.maps = Maps, .python = kPython}; }

}  // namespace thimble::models::attention_biases
