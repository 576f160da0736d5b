// Memory for state tensors, on huge pages where the system has them: a step walks through all of it, and a
// virtual machine pays dearly for every 4 KiB page that it looks up.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

namespace thimble::optim {

// Tensors from it keep their part of the memory alive without it. Not thread-safe.
class Arena {
 public:
  at::Tensor Zeros(at::IntArrayRef sizes);  // float32

 private:
  struct Block;
  std::shared_ptr<Block> block_;
  int64_t used_ = 0;  // bytes of block_
};

}  // namespace thimble::optim
