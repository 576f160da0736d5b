#include "distill/rows.h"

#include "base/clones.h"

namespace thimble::distill {

THIMBLE_CLONES double WeightedSquares(const float* a, const float* b, const float* weight, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t k = 0; k < n; ++k) sum += weight[k] * (a[k] - b[k]) * (a[k] - b[k]);
  return sum;
}

THIMBLE_CLONES void WeightedDifference(const float* a, const float* b, const float* weight, float scale,
                                       int64_t n, float* out) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) out[k] = scale * weight[k] * (a[k] - b[k]);
}

THIMBLE_CLONES void Widen(const c10::BFloat16* in, int64_t n, float* out) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) out[k] = in[k];
}

THIMBLE_CLONES void Narrow(const float* in, int64_t n, c10::BFloat16* out) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) out[k] = in[k];
}

}  // namespace thimble::distill
