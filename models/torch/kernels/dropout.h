// Inverted dropout whose mask is a function of key and position: the backward pass draws it again instead of
// keeping it.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace thimble::models::kernels {

// x / (1 - probability) with each element zero with `probability` in (0, 1). CPU; float32, bfloat16 or
// float64. The same for any number of threads, compiler and instruction set. Differentiable once.
//
// LibTorch draws dropout masks with at::bernoulli_, which is serial: a fifth of a training step.
at::Tensor Dropout(const at::Tensor& x, double probability, uint64_t key);

}  // namespace thimble::models::kernels
