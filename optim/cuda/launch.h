// What the kernels need of CUDA. Only for files that nvcc compiles; tests/optim/emulated_cuda.cc has the same
// for a processor without a GPU.
#pragma once
#include <cuda_runtime.h>

#include <string>

#include "base/error.h"
#include "optim/cuda/kernels.h"

namespace thimble::optim::cuda {

inline void Check(cudaError_t code, const char* doing) {
  if (code != cudaSuccess) throw WorkFailed("CUDA", std::string(doing) + ": " + cudaGetErrorString(code));
}

template <typename Kernel, typename... Arguments>
void Launch(Kernel kernel, int blocks, void* stream, const Arguments&... arguments) {
  if (blocks == 0) return;
  kernel<<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(arguments...);
  Check(cudaGetLastError(), "an optimizer step");
}

}  // namespace thimble::optim::cuda
