#include <ATen/Parallel.h>

#include <cmath>

#include "optim/floats.h"
#include "optim/kernels/kernels.h"

namespace thimble::optim {

double ClipGradients(const Parameters& parameters, double max_norm) {
  const int threads = at::get_num_threads();
  double squares = 0;
  for (const Parameter& parameter : parameters) {
    RefuseSparse(parameter);
    if (!parameter.value.grad().defined()) continue;
    const Floats gradient(parameter.value.grad());
    squares += SumPieces(gradient.size(), threads, [&](int64_t first, int64_t count) {
      return Kernel().squares(gradient.data() + first, count);
    });
  }
  const double norm = std::sqrt(squares);
  if (max_norm <= 0 || !std::isfinite(norm) || norm <= max_norm) return norm;
  const auto scale = static_cast<float>(max_norm / norm);
  for (const Parameter& parameter : parameters) {
    if (!parameter.value.grad().defined()) continue;
    Floats gradient(parameter.value.grad());
    ForPieces(gradient.size(), threads,
              [&](int64_t first, int64_t count) { Kernel().scale(gradient.data() + first, count, scale); });
    gradient.Store();
  }
  return norm;
}

void ClipGradientValues(const Parameters& parameters, double limit) {
  for (const Parameter& parameter : parameters) {
    RefuseSparse(parameter);
    if (!parameter.value.grad().defined()) continue;
    Floats gradient(parameter.value.grad());
    ForPieces(gradient.size(), at::get_num_threads(), [&](int64_t first, int64_t count) {
      Kernel().clamp(gradient.data() + first, count, static_cast<float>(limit));
    });
    gradient.Store();
  }
}

}  // namespace thimble::optim
