// W-PCA: a score without training or labels. Wang et al., ICLR 2025 ("W-PCA Based Gradient-Free Proxy for
// Efficient Search of Lightweight Language Models").
#pragma once
#include <cstdint>

#include "models/model.h"

namespace thimble::search {

// The least number of principal components that hold `share` of the variance of what the linear of wb1
// returns, before any activation, summed over all feed-forward blocks; weighted by the parameter count it is
// the paper's score. Over the real tokens of one batch (the release counts padding too); 40 rows are enough
// (SYSTEMS D2). The paper's networks are untrained, N(0, 0.02).
int64_t PrincipalComponents(const models::Model& model, const models::Batch& batch, double share = 0.99);

}  // namespace thimble::search
