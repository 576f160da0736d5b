// What the loops over every weight share: tensors as contiguous float32 memory.
#pragma once
#include <ATen/core/Tensor.h>

#include "optim/optimizer.h"

namespace thimble::optim {

// The tensor's own memory if that is contiguous float32 on the CPU, else a copy that Store writes back.
class Floats {
 public:
  explicit Floats(const at::Tensor& tensor);
  float* data() const { return floats_.data_ptr<float>(); }
  int64_t size() const { return floats_.numel(); }
  void Store();

 private:
  at::Tensor tensor_, floats_;
};

// Error that names the parameter if its gradient is sparse.
void RefuseSparse(const Parameter& parameter);

}  // namespace thimble::optim
