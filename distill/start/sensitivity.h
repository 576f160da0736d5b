// Private to start/: how much each token's states matter to what the teacher answers.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "distill/start/sample.h"

namespace thimble::distill {

// How much a teacher's answer changes with what each LayerNorm receives: by LayerNorm, [N] float32, squared
// gradients |g|^2 of a token. The sum of g g^T over tokens and classes is the Fisher information of the
// teacher's answer, so that KL(teacher, student) is near 1/2 (sum over tokens of g . change)^2: of classes
// g = sqrt(p) d log p, a pass each; of a number its gradient; of a span its likeliest one.
// Empty without a task head that answers rows (no head, masked tokens).
std::vector<at::Tensor> Sensitivity(const models::Model& teacher, const Rows& rows);
std::vector<double> Means(const std::vector<at::Tensor>& sensitivity);
// share |g|^2 / mean |g|^2 + 1 - share.
std::vector<at::Tensor> TokenWeights(const std::vector<at::Tensor>& sensitivity, double share);

}  // namespace thimble::distill
