// Weights in eight bits.
#pragma once
#include <ATen/core/Tensor.h>

namespace thimble::models {

struct Int8Matrix {
  at::Tensor values;  // [rows, columns] int8
  at::Tensor scales;  // [rows] float32: values * scale is the row
};

// Symmetric, one scale a row: the row's largest magnitude becomes `largest`.
Int8Matrix ToInt8(const at::Tensor& matrix, int largest);

}  // namespace thimble::models
