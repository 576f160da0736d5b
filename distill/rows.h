// Loops over one row of numbers, for the losses that compare large tensors.
#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>

namespace thimble::distill {

// Sum over k of weight[k] * (a[k] - b[k])^2.
double WeightedSquares(const float* a, const float* b, const float* weight, int64_t n);
// out[k] = scale * weight[k] * (a[k] - b[k]).
void WeightedDifference(const float* a, const float* b, const float* weight, float scale, int64_t n,
                        float* out);
void Widen(const c10::BFloat16* in, int64_t n, float* out);
void Narrow(const float* in, int64_t n, c10::BFloat16* out);

}  // namespace thimble::distill
