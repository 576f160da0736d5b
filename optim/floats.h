// What the loops over every weight share: tensors as contiguous float32 memory, and long arrays in pieces.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include "optim/optimizer.h"

namespace thimble::optim {

// The tensor's own memory if that is contiguous float32 on the CPU, else a copy that Store writes back.
class Floats {
 public:
  explicit Floats(const at::Tensor& tensor);
  float* data() const { return floats_.data_ptr<float>(); }
  int64_t size() const { return floats_.numel(); }
  void
  Store();  // also raises the tensor's version, as an in-place operator does: a stale graph is then an error

 private:
  at::Tensor tensor_, floats_;
};

// Error that names the parameter if its gradient is sparse.
void RefuseSparse(const Parameter& parameter);

// body(first, count) over [0, n) in pieces of the same size whatever the number of threads.
void ForPieces(int64_t n, int threads, const std::function<void(int64_t first, int64_t count)>& body);
// The same for a body that returns a sum; pieces are added in order.
double SumPieces(int64_t n, int threads, const std::function<double(int64_t first, int64_t count)>& body);

}  // namespace thimble::optim
