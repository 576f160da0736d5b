#include <cmath>

#include "base/clones.h"
#include "optim/floats.h"

namespace thimble::optim {
namespace {

// In double: squares of large float32 gradients must not overflow, and the loop waits for memory anyway.
THIMBLE_CLONES double SquareSum(const float* x, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

THIMBLE_CLONES void Scale(float* x, int64_t n, float scale) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) x[i] *= scale;
}

}  // namespace

double ClipGradients(const Parameters& parameters, double max_norm) {
  double squares = 0;
  for (const Parameter& parameter : parameters) {
    RefuseSparse(parameter);
    if (!parameter.value.grad().defined()) continue;
    const Floats gradient(parameter.value.grad());
    squares += SquareSum(gradient.data(), gradient.size());
  }
  const double norm = std::sqrt(squares);
  if (max_norm <= 0 || !std::isfinite(norm) || norm <= max_norm) return norm;
  for (const Parameter& parameter : parameters) {
    if (!parameter.value.grad().defined()) continue;
    Floats gradient(parameter.value.grad());
    Scale(gradient.data(), gradient.size(), static_cast<float>(max_norm / norm));
    gradient.Store();
  }
  return norm;
}

}  // namespace thimble::optim
