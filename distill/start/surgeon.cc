#include "distill/start/surgeon.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"

namespace thimble::distill {
namespace {

// Regression W = H^-1 C on the columns that are left, with the inverse of H: [n, n], [n, out] float64.
struct Left {
  at::Tensor inverse, weight;
  at::Tensor units;  // [n / columns] int64: which of all
};

// What each unit's removal adds to the error: the trace of W_R^T (H^-1_RR)^-1 W_R.
at::Tensor Costs(const Left& left, int64_t columns) {
  if (columns == 1) return left.weight.square().sum(1) / left.inverse.diagonal();
  const int64_t units = left.units.size(0);
  const at::Tensor apart = left.inverse.view({units, columns, units, columns});
  const at::Tensor own = apart.diagonal(0, 0, 2).permute({2, 0, 1});  // [units, columns, columns]
  const at::Tensor weight = left.weight.view({units, columns, left.weight.size(1)});
  return (weight * at::linalg_solve(own, weight)).sum({1, 2});
}

at::Tensor ColumnsOf(const at::Tensor& units, int64_t columns) {
  return (units.unsqueeze(1) * columns + at::arange(columns, at::kLong)).flatten();
}

// Takes the units at `places` away. Returns what that adds to the error.
double Remove(const at::Tensor& places, int64_t columns, Left* left) {
  at::Tensor kept = at::ones({left->units.size(0)}, at::kBool);
  kept.index_fill_(0, places, false);
  const at::Tensor stay = kept.nonzero().flatten(), rest = ColumnsOf(stay, columns);
  const at::Tensor gone = ColumnsOf(places, columns);
  const at::Tensor rows = left->inverse.index_select(0, gone);  // [r, n]
  const at::Tensor own = rows.index_select(1, gone), across = rows.index_select(1, rest);
  const at::Tensor weight = left->weight.index_select(0, gone);
  const at::Tensor solved = at::linalg_solve(own, at::cat({weight, across}, 1));
  const at::Tensor of_weight = solved.slice(1, 0, weight.size(1));
  left->weight = left->weight.index_select(0, rest) - across.t().matmul(of_weight);
  left->inverse = left->inverse.index_select(0, rest).index_select(1, rest) -
                  across.t().matmul(solved.slice(1, weight.size(1)));
  left->units = left->units.index_select(0, stay);
  return (weight * of_weight).sum().item<double>();
}

}  // namespace

Elimination Eliminate(const Centred& a, const at::Tensor& goal, const at::Tensor& sliced, double ridge,
                      int64_t columns, int64_t step) {
  const int64_t units = a.x.size(1) / columns;
  THIMBLE_CHECK(units * columns == a.x.size(1) && units % step == 0,
                std::to_string(a.x.size(1)) + " columns in units of " + std::to_string(columns));
  const at::Tensor centred = goal - a.Mean(goal).to(at::kFloat);
  at::Tensor gram = Gram(a.x, a.weights);
  // An input that does not vary explains nothing: the units stay as they are, and cost nothing.
  const double lambda = ridge * gram.diagonal().mean().item<double>() + 1e-9;
  gram.diagonal() += lambda;
  const at::Tensor product = Product(a.x, centred, a.weights) + lambda * sliced.to(at::kDouble).t();
  Left left;
  left.inverse = at::cholesky_inverse(at::linalg_cholesky(gram));
  left.weight = left.inverse.matmul(product);
  left.units = at::arange(units, at::kLong);
  Elimination found;
  found.error.assign(units / step + 1, 0);
  double error = Weighed(centred.square(), a.weights).sum(at::kDouble).item<double>() -
                 (product * left.weight).sum().item<double>();
  std::vector<at::Tensor> order;  // what went, the last first
  for (int64_t kept = units / step; kept > 0; --kept) {
    found.error[kept] = error;
    const at::Tensor costs = Costs(left, columns);
    const at::Tensor places =
        std::get<1>(at::sort(costs, /*stable=*/true, 0, /*descending=*/false)).slice(0, 0, step);
    // Within a step the dearer unit comes first.
    order.push_back(left.units.index_select(0, places.flip(0)));
    error += Remove(places, columns, &left);
  }
  found.error[0] = error;
  std::reverse(order.begin(), order.end());
  found.order = at::cat(order);
  // Ridge's pull lets a smaller block come out a hair better.
  for (size_t k = found.error.size() - 1; k-- > 0;)
    found.error[k] = std::max(found.error[k], found.error[k + 1]);
  return found;
}

}  // namespace thimble::distill
