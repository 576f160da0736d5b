// Which expert computes which token, and gates of experts that are merged (Ops::Route, Ops::Gates).
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "base/random.h"

namespace thimble::models::experts {

// N tokens, the batch's one after another.
struct Routing {
  std::vector<at::Tensor> tokens;  // of each expert those that go to it, in order, [n] int64
  at::Tensor place;   // of each token where it stands among all experts' tokens in a row, [N] int64
  at::Tensor factor;  // [N, 1]: E times the probability of the expert that it goes to
};
// To the likeliest of `count` experts, the first of equals. shares [.., E].
Routing Choose(const at::Tensor& shares, int64_t count);
at::Tensor TokensOf(const Routing& routing, const at::Tensor& x, int64_t expert);  // x [.., c]: [1, n, c]
// parts [1, n, c] of each expert: as x, [.., c], each token's by its factor.
at::Tensor Together(const Routing& routing, const at::Tensor& x, const std::vector<at::Tensor>& parts);

at::Tensor TopShares(const at::Tensor& logits, int64_t k);  // Ops::Gates without noise

// As large as `like`; one draw of `random`, whatever the size.
at::Tensor UniformNoise(const at::Tensor& like, double limit, Random* random);
at::Tensor NormalNoise(const at::Tensor& like, Random* random);

}  // namespace thimble::models::experts
