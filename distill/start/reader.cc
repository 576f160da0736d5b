// Teacher states read from a student's coordinates, and products of teacher matrices in them.
#include "distill/start/reader.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "distill/start/basis.h"
#include "distill/start/teacher_record.h"

namespace thimble::distill {

Reader MakeReader(const Moments& state, const at::Tensor& directions) {
  Reader reader;
  at::Tensor cross = directions.matmul(state.covariance);  // [K, D]
  at::Tensor covariance = cross.matmul(directions.t());
  reader.mean = directions.mv(state.mean);
  reader.spread = at::linalg_cholesky(covariance);
  reader.slope = at::cholesky_solve(cross, reader.spread).t().contiguous();
  reader.offset = state.mean - reader.slope.mv(reader.mean);
  // [b 1] = [[spread, mean], [0, 1]] times whitened coordinates: triangular, with the constant first.
  int64_t k = reader.mean.size(0);
  reader.spread_one = at::zeros({k + 1, k + 1}, at::kDouble);
  reader.spread_one.slice(0, 1).slice(1, 1).copy_(reader.spread);
  reader.spread_one.slice(0, 1).select(1, 0).copy_(reader.mean);
  reader.spread_one[0][0] = 1;
  return reader;
}

Factors Truncate(const at::Tensor& a, const at::Tensor& b, const at::Tensor& spread_a,
                 const at::Tensor& spread_b, int64_t rank) {
  auto weighted = [](const at::Tensor& x, const at::Tensor& spread) {
    return (spread.defined() ? x.matmul(spread) : x).t();
  };
  auto unweighted = [](const at::Tensor& x, const at::Tensor& spread) {
    return spread.defined() ? at::linalg_solve_triangular(spread, x, /*upper=*/false, /*left=*/false) : x;
  };
  auto [qa, ra] = at::linalg_qr(weighted(a, spread_a));
  auto [qb, rb] = at::linalg_qr(weighted(b, spread_b));
  auto [u, s, vh] = at::linalg_svd(ra.matmul(rb.t()), /*full_matrices=*/false);
  int64_t used = std::min(rank, s.size(0));
  at::Tensor root = s.slice(0, 0, used).sqrt().unsqueeze(1);
  at::Tensor left = root * qa.matmul(u.slice(1, 0, used)).t();
  at::Tensor right = root * qb.matmul(vh.slice(0, 0, used).t()).t();
  auto pad = [&](const at::Tensor& x) { return at::constant_pad_nd(x, {0, 0, 0, rank - used}); };
  left = unweighted(left, spread_a);
  right = unweighted(right, spread_b);
  at::Tensor signs = Signs(right);
  return {pad(left * signs), pad(right * signs)};
}

at::Tensor Noise(const Random& random, const std::string& name, int64_t rows, int64_t columns,
                 double deviation) {
  Random stream = random.Fork(name);
  at::Tensor noise = at::empty({rows, columns}, at::kDouble);
  double* values = noise.mutable_data_ptr<double>();
  for (int64_t i = 0; i < noise.numel(); ++i) values[i] = deviation * stream.Normal();
  return noise;
}

}  // namespace thimble::distill
