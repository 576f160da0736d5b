#include "models/onnx_int8.h"

#include <torch/torch.h>

#include "base/error.h"

namespace thimble::models {

Int8Matrix ToInt8(const at::Tensor& matrix, int largest) {
  THIMBLE_CHECK(matrix.dim() == 2 && largest > 0 && largest <= 127, "a matrix, in eight bits");
  const at::Tensor rows = matrix.detach().to(at::kCPU, at::kFloat);
  const at::Tensor magnitudes = rows.abs().amax(1);
  // A row of zeros stays one under any scale.
  const at::Tensor scales = at::where(magnitudes > 0, magnitudes / largest, at::ones_like(magnitudes));
  return {(rows / scales.unsqueeze(1)).round().clamp(-largest, largest).to(at::kChar), scales};
}

}  // namespace thimble::models
