// Private to start/: a kernel's features fitted to the softmax that they stand for. Zhang et al., ICLR 2024
// (Hedgehog), section 4.2: the cross-entropy of the rows of attention, all other weights fixed.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "distill/start/sample.h"

namespace thimble::distill {

struct KernelFitInput {
  int layer = 0;  // of the student
  const proto::Mixer& mixer;
  std::vector<std::string> weights;  // which are fitted, full names
  const Rows &fit, &held_out;
  at::Tensor fit_state, held_out_state;  // that the layer reads, [N, d]
  int steps = 0;
};
// Divergence (KL, nats a query, mean over heads) from softmax(q k / sqrt(r)), q and k being the mixer's own,
// to what its kernel attends to, on held-out rows. A fit that does not lower it is not taken.
struct KernelFit {
  double before = 0, after = 0;
};
// CHECK: the mixer shows a kernel (Ops::ShowKernel), and queries and keys of as many heads.
KernelFit FitKernel(const KernelFitInput& input, models::Model* student);

}  // namespace thimble::distill
