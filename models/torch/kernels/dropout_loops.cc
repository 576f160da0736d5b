#include "models/torch/kernels/dropout_loops.h"

#include <cstring>

// The loops exist twice, for any x86-64 and for AVX2, whose 32-bit product SSE2 lacks. Chosen by hand: of a
// function that a header declares, clang 14 emits only the first of its target_clones.
#if defined(__x86_64__)
#define THIMBLE_AVX2 __attribute__((target("avx2")))
#endif
#define THIMBLE_INLINE inline __attribute__((always_inline))

namespace thimble::models::kernels {
namespace {

// All ones if element i is kept, else 0; without a branch, or g++ does not vectorise. 31 random bits of (key,
// i) come from a Weyl sequence started by one half of the key, through the lowbias32 mixer (Wellons, "hash
// prospector", 2018) with the other half added between its rounds. 32-bit products: every vector unit has
// them.
THIMBLE_INLINE int32_t Kept(const DropoutBlock& block, uint32_t i) {
  const uint32_t low = static_cast<uint32_t>(block.key), high = static_cast<uint32_t>(block.key >> 32);
  uint32_t z = low + i * 0x9e3779b9u;
  z = (z ^ (z >> 16)) * 0x7feb352du;
  z += high;
  z = (z ^ (z >> 15)) * 0x846ca68bu;
  return ~((static_cast<int32_t>((z ^ (z >> 16)) >> 1) - block.threshold) >> 31);
}

template <typename To, typename From>
THIMBLE_INLINE To Bits(From from) {
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

THIMBLE_INLINE float Element(const DropoutBlock& block, uint32_t i, float x) {
  return Bits<float>(Bits<int32_t>(x * static_cast<float>(block.scale)) & Kept(block, i));
}

THIMBLE_INLINE double Element(const DropoutBlock& block, uint32_t i, double x) {
  return Bits<double>(Bits<int64_t>(x * block.scale) & int64_t{Kept(block, i)});
}

THIMBLE_INLINE uint16_t Element(const DropoutBlock& block, uint32_t i, uint16_t x) {
  const float scaled = Bits<float>(static_cast<uint32_t>(x) << 16) * static_cast<float>(block.scale);
  const uint32_t bits = Bits<uint32_t>(scaled);
  // To nearest, ties to even. A NaN stays one: its low half is zero.
  return static_cast<uint16_t>(((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16) &
                               static_cast<uint32_t>(Kept(block, i)));
}

// `block` by value: a store to y cannot change it.
template <typename T>
void LoopAnywhere(DropoutBlock block, const T* __restrict x, T* __restrict y) {
  const uint32_t n = static_cast<uint32_t>(block.n);
  for (uint32_t i = 0; i < n; ++i) y[i] = Element(block, i, x[i]);
}

#if defined(THIMBLE_AVX2)
template <typename T>
THIMBLE_AVX2 void LoopAvx2(DropoutBlock block, const T* __restrict x, T* __restrict y) {
  const uint32_t n = static_cast<uint32_t>(block.n);
  for (uint32_t i = 0; i < n; ++i) y[i] = Element(block, i, x[i]);
}
#endif

template <typename T>
void Dispatch(const DropoutBlock& block, const T* x, T* y) {
#if defined(THIMBLE_AVX2)
  if (__builtin_cpu_supports("avx2")) return LoopAvx2(block, x, y);
#endif
  LoopAnywhere(block, x, y);
}

}  // namespace

void DropoutLoop(const DropoutBlock& block, const float* x, float* y) { Dispatch(block, x, y); }
void DropoutLoop(const DropoutBlock& block, const double* x, double* y) { Dispatch(block, x, y); }
void DropoutLoop(const DropoutBlock& block, const uint16_t* x, uint16_t* y) { Dispatch(block, x, y); }

}  // namespace thimble::models::kernels
