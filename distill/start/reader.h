// Private to start/: a teacher's state guessed from a few of its directions, and products of matrices cut to
// a rank.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "base/random.h"
#include "distill/start/teacher_record.h"

namespace thimble::distill {

// The best affine guess of a teacher state from its first K coordinates b = B h: h ~ slope b + offset. With K
// = D it is exact.
struct Reader {
  at::Tensor slope;       // [D, K]
  at::Tensor offset;      // [D]
  at::Tensor mean;        // [K], of b
  at::Tensor spread;      // [K, K]: lower Cholesky factor of the covariance of b
  at::Tensor spread_one;  // [K + 1, K + 1]: of the second moments of [b 1]
};

Reader MakeReader(const Moments& state, const at::Tensor& directions);

// Factors whose product left^T right [n, p] is the nearest of rank `rank` to a^T b, nearness weighted by the
// Cholesky factors of the second moments of what stands on either side (undefined: unweighted).
struct Factors {
  at::Tensor left, right;  // [rank, n], [rank, p]; rows beyond the rank of a^T b are zero
};
Factors Truncate(const at::Tensor& a, const at::Tensor& b, const at::Tensor& spread_a,
                 const at::Tensor& spread_b, int64_t rank);

// N(0, deviation), a function of stream and name. [rows, columns] float64.
at::Tensor Noise(const Random& random, const std::string& name, int64_t rows, int64_t columns,
                 double deviation);

}  // namespace thimble::distill
