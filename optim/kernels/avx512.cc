#include "optim/kernels/pack_avx512.h"

// after the pack that it works on
#include "optim/kernels/kernels_inl.h"

namespace thimble::optim {
extern const Kernels kAvx512Kernels;
constexpr Kernels kAvx512Kernels = MakeKernels("avx512");
}  // namespace thimble::optim
