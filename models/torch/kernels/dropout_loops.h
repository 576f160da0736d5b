// The loops of dropout, free of LibTorch so that they are compiled with -O3 for several instruction sets.
#pragma once
#include <cstddef>
#include <cstdint>

namespace thimble::models::kernels {

// One block: elements are numbered from 0, n < 2^32. Keeps element i, times `scale`, if 31 random bits of
// (key, i) are at least `threshold`.
struct DropoutBlock {
  uint64_t key;
  int32_t threshold;
  double scale;
  size_t n;
};
void DropoutLoop(const DropoutBlock& block, const float* x, float* y);
void DropoutLoop(const DropoutBlock& block, const double* x, double* y);
void DropoutLoop(const DropoutBlock& block, const uint16_t* x, uint16_t* y);  // bfloat16 bits

}  // namespace thimble::models::kernels
