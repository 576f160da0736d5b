#include "optim/cuda/device.h"

#include <cuda_runtime.h>

#include "optim/cuda/launch.h"

namespace thimble::optim::cuda {

bool DeviceFound() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

Bytes::Bytes(size_t size) : data_(nullptr) {
  if (size == 0) return;
  Check(cudaMalloc(&data_, size), "memory for the state of an optimizer");
  Check(cudaMemset(data_, 0, size), "clearing memory");
}

Bytes::~Bytes() { cudaFree(data_); }

void Upload(const void* from, size_t size, void* to, void* stream) {
  // From pageable memory this returns when the bytes have been taken over.
  Check(cudaMemcpyAsync(to, from, size, cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream)),
        "a copy to the GPU");
}

void Download(const void* from, size_t size, void* to, void* stream) {
  Check(cudaMemcpyAsync(to, from, size, cudaMemcpyDeviceToHost, static_cast<cudaStream_t>(stream)),
        "a copy from the GPU");
  Check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "a copy from the GPU");
}

}  // namespace thimble::optim::cuda
