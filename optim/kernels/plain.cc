#include "optim/kernels/pack_plain.h"

// after the pack that it works on
#include "optim/kernels/kernels_inl.h"

namespace thimble::optim {
extern const Kernels kPlainKernels;
constexpr Kernels kPlainKernels = MakeKernels("plain");
}  // namespace thimble::optim
