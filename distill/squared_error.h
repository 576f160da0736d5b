// Squared distances between chosen rows of two matrices, without a temporary of their size.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

namespace thimble::distill {

struct RowPair {
  int64_t student, teacher;  // row numbers
  int64_t weight;            // row of the weights
};

// Which rows are compared; made once a batch, used for every layer. A student row may occur once.
struct RowPairs {
  std::vector<RowPair> pairs;
  at::Tensor weights;  // [W, C] float32, of the columns
};

// Sum over pairs and columns of weight * (student - teacher)^2, [] float32. student [R, C], teacher [S, C];
// any float type, compared in float32. Differentiable in `student` (once), with a gradient of its type. Uses
// torch's threads; the result does not depend on their number.
at::Tensor SquaredError(const at::Tensor& student, const at::Tensor& teacher,
                        std::shared_ptr<const RowPairs> rows);

}  // namespace thimble::distill
