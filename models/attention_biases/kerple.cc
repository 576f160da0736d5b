// Kernelised relative positions: -p log(1 + a d) or -p d^a of the distance d, p and a learnt, positive, of
// each head. Chi et al., NeurIPS 2022, equations 7 and 8. Drawn and held above 0.01 as the authors' code
// does.
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::attention_biases {
namespace {

constexpr double kLeast = 0.01;

Value Maps(const proto::SelfAttention& spec, int heads, Tokens queries, Ops& ops) {
  const bool power = spec.kerple().form() == proto::Kerple::POWER;
  const Value distances = ops.Distances("distances", queries);
  const Value scale = ops.Numbers("scale", heads, {.low = 0, .high = 2, .least = kLeast});
  NumberForm form{.low = 0, .high = power ? 2.0 : 1.0, .least = kLeast};
  if (power) form.most = 2;  // beyond that it is no kernel: the paper's theorem 1
  const Value rate = ops.Numbers("rate", heads, form);
  Value shape;
  if (power) {
    shape = ops.Combine("rate", Combination::kPow, distances, rate);
  } else {
    const Value grown = ops.Combine("rate", Combination::kMul, distances, rate);
    shape = ops.Apply("rate", Function::kLog, ops.Affine("rate", grown, 1, 1));
  }
  return ops.Affine("scale", ops.Combine("scale", Combination::kMul, shape, scale), -1, 0);
}

constexpr char kPython[] = R"py(class Kerple(nn.Module):
    def __init__(self, spec, heads):
        super().__init__()
        self.power = spec["form"] == "POWER"
        self.scale, self.rate = nn.Parameter(torch.zeros(heads)), nn.Parameter(torch.zeros(heads))

    def forward(self, mask):
        place = torch.arange(mask.shape[1], device=mask.device)
        distances = (place - place.unsqueeze(1)).abs().to(self.scale.dtype)
        scale, rate = self.scale.clamp(min=0.01).view(-1, 1, 1), self.rate.clamp(min=0.01).view(-1, 1, 1)
        return -scale * (distances ** rate.clamp(max=2) if self.power else (1 + rate * distances).log())
)py";

}  // namespace

AttentionBiasEntry kerple() { return {.maps = Maps, .python = kPython}; }

}  // namespace thimble::models::attention_biases
