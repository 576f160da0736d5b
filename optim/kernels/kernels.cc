#include "optim/kernels/kernels.h"

namespace thimble::optim {

extern const Kernels kPlainKernels;
#ifdef THIMBLE_X86_KERNELS
extern const Kernels kAvx2Kernels, kAvx512Kernels;
#endif

const std::vector<const Kernels*>& RunnableKernels() {
  static const std::vector<const Kernels*> runnable = [] {
    std::vector<const Kernels*> list = {&kPlainKernels};
#ifdef THIMBLE_X86_KERNELS
    if (__builtin_cpu_supports("avx2")) list.push_back(&kAvx2Kernels);
    if (__builtin_cpu_supports("avx512f")) list.push_back(&kAvx512Kernels);
#endif
    return list;
  }();
  return runnable;
}

const Kernels& Kernel() { return *RunnableKernels().back(); }

}  // namespace thimble::optim
