// What proxies read of a network: what its blocks compute, and gradients of what its head says.
#pragma once
#include <vector>

#include "models/model.h"

namespace thimble::search {

// What the first linear of each feed-forward block returns, before any activation, [B, T, inner width], in
// order. A block that is nothing has none.
std::vector<at::Tensor> InnerStates(const models::Model& network, const models::Batch& rows);

// The same of real tokens alone, [n, inner width], in any order, the same for all blocks. Rows are computed
// in groups of like length, so that padding costs next to nothing. Without gradients.
std::vector<at::Tensor> InnerTokens(const models::Model& network, const models::Batch& rows);

// Proxy's X, []. With a task head, not of masked tokens.
at::Tensor SummedAnswers(const models::Model& network, const models::Outputs& outputs,
                         const models::Batch& rows);

struct WeightGradient {
  at::Tensor weight, gradient;  // both [out, in], of X; without gradients of their own
};
enum class Part { kMixers, kFeedForwards };
// Gradients of the linears of all mixers, output linears included, or of all feed-forward blocks. The weights
// require gradients.
std::vector<WeightGradient> Gradients(const models::Model& network, const models::Batch& rows, Part part);

}  // namespace thimble::search
