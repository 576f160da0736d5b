// Attention with linear biases, both sides alike: -m |i - j|. Press et al., ICLR 2022; Portes et al., NeurIPS
// 2023 (MosaicBERT), section 3.1.
#include <cmath>
#include <vector>

#include "models/encoder/kinds.h"

namespace thimble::models::attention_biases {
namespace {

// 2^(-8 i / n), i from 1 to n, for n a power of two.
std::vector<double> Powers(int heads) {
  std::vector<double> slopes;
  for (int i = 1; i <= heads; ++i) slopes.push_back(std::exp2(-8.0 * i / heads));
  return slopes;
}

// Other numbers of heads: those of the power of two below, then the first, third, ... of the one above, as
// the authors' code.
std::vector<double> Slopes(int heads) {
  int below = 1;
  while (2 * below <= heads) below *= 2;
  std::vector<double> slopes = Powers(below);
  const std::vector<double> above = Powers(2 * below);
  for (int i = 0; static_cast<int>(slopes.size()) < heads; i += 2) slopes.push_back(above[i]);
  return slopes;
}

Value Maps(const proto::SelfAttention&, int heads, Tokens queries, Ops& ops) {
  std::vector<double> factors = Slopes(heads);
  for (double& factor : factors) factor = -factor;
  return ops.Combine("slopes", Combination::kMul, ops.Distances("distances", queries),
                     ops.Constants("slopes", factors));
}

constexpr char kPython[] = R"py(class Alibi(nn.Module):
    def __init__(self, spec, heads):
        super().__init__()
        below = 1 << heads.bit_length() - 1
        above = [2 ** (-4 * i / below) for i in range(1, 2 * below, 2)]
        self.slopes = ([2 ** (-8 * i / below) for i in range(1, below + 1)] + above)[:heads]

    def forward(self, mask):
        place = torch.arange(mask.shape[1], device=mask.device)
        distances = (place - place.unsqueeze(1)).abs().float()
        return -distances * torch.tensor(self.slopes, device=mask.device).view(-1, 1, 1)
)py";

}  // namespace

AttentionBiasEntry alibi() { return {.maps = Maps, .python = kPython}; }

}  // namespace thimble::models::attention_biases
