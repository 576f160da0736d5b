// Who is told what a forward pass computes on its way: statistics of a teacher, magnitudes for eight bits,
// proxies.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace thimble::models {

// Called in the order of the walk (encoder/encoder.h), on the thread of the forward pass. `name`: a weight's,
// without
// ".weight".
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void OnLinear(const std::string& name, const at::Tensor& input, const at::Tensor& output) {}
  virtual void OnNorm(const std::string& name, const at::Tensor& sum, const at::Tensor& state) {}
};

}  // namespace thimble::models
