#include "optim/kernels/pack_avx2.h"

// after the pack that it works on
#include "optim/kernels/kernels_inl.h"

namespace thimble::optim {
extern const Kernels kAvx2Kernels;
constexpr Kernels kAvx2Kernels = MakeKernels("avx2");
}  // namespace thimble::optim
