// Private to start/: which units (heads, neurons) of a block are kept at every size. Backward elimination by
// the optimal brain surgeon on a ridge regression's Gram matrix; of structures: Kurtic et al., NeurIPS 2023
// (ZipLM).
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "distill/start/linear_fit.h"
#include "distill/start/output_path.h"

namespace thimble::distill {

struct Elimination {
  at::Tensor order;           // [units] int64: the units of every size are its first ones
  std::vector<double> error;  // [k]: squared error of the regression on the first k `step`s of units alone
};

// Eliminates units from the regression of goal [N, out] on a [N, units * columns] as LinearFit does it, rows
// by the weights of `a`, pulled towards `sliced` [out, in]. Units go `step` at a time, those that cost least;
// the rest is then the exact solution of what is left. Requires units to be a multiple of step.
Elimination Eliminate(const Centred& a, const at::Tensor& goal, const at::Tensor& sliced, double ridge,
                      int64_t columns, int64_t step);

}  // namespace thimble::distill
