#include "distill/start/cross_validation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace thimble::distill {
namespace {

constexpr double kWorthwhile = 0.02;  // of the unexplained share, that twice as many tokens must remove

// Sums over tokens of [a y] and of its products, float64.
struct Sums {
  double count = 0, squares = 0;  // squares: of y
  at::Tensor a, y, gram, cross;   // [in], [out], [in, in], [in, out]

  void Add(const Sums& other) {
    count += other.count;
    squares += other.squares;
    auto add = [](at::Tensor& x, const at::Tensor& more) { x = x.defined() ? x + more : more; };
    add(a, other.a);
    add(y, other.y);
    add(gram, other.gram);
    add(cross, other.cross);
  }
  // Of a - p and y - q.
  Sums About(const at::Tensor& p, const at::Tensor& q) const {
    Sums sums;
    sums.count = count;
    sums.a = a - count * p;
    sums.y = y - count * q;
    sums.squares = squares - 2 * y.dot(q).item<double>() + count * q.dot(q).item<double>();
    sums.gram = gram - at::outer(a, p) - at::outer(p, a) + count * at::outer(p, p);
    sums.cross = cross - at::outer(a, q) - at::outer(p, y) + count * at::outer(p, q);
    return sums;
  }
};

}  // namespace

CrossValidation::CrossValidation(const Rows& rows) {
  std::array<std::vector<int64_t>, kParts> places;
  int64_t sequence = 0;
  for (size_t b = 0; b < rows.batches.size(); ++b) {
    const int64_t length = rows.batches[b].ids.size(1);
    const int64_t* place = rows.places[b].const_data_ptr<int64_t>();
    for (int64_t i = 0; i < rows.places[b].size(0); ++i)
      places[(sequence + place[i] / length) % kParts].push_back(tokens_++);
    sequence += rows.batches[b].rows();
  }
  for (int p = 0; p < kParts; ++p) places_[p] = at::tensor(places[p], at::kLong);
}

void CrossValidation::Add(const Centred& input, const at::Tensor& goal, const at::Tensor& sliced) {
  const at::Tensor level = ColumnSums(goal) / static_cast<double>(goal.size(0));
  const at::Tensor y = goal - level.to(at::kFloat), w0 = sliced.to(at::kDouble).t();
  std::array<Sums, kParts> parts;
  for (int p = 0; p < kParts; ++p) {
    const at::Tensor a = input.x.index_select(0, places_[p]), b = y.index_select(0, places_[p]);
    parts[p] = {static_cast<double>(a.size(0)),
                b.square().sum(at::kDouble).item<double>(),
                ColumnSums(a),
                ColumnSums(b),
                Gram(a),
                Product(a, b)};
  }
  std::array<std::array<double, kSizes>, kRidges.size()> error = {};
  double variance = 0;
  for (int fold = 0; fold < kFolds; ++fold) {
    Sums test;
    std::vector<const Sums*> others;
    for (int p = 0; p < kParts; ++p) {
      if (p % kFolds == fold) {
        test.Add(parts[p]);
      } else {
        others.push_back(&parts[p]);
      }
    }
    if (test.count == 0) continue;
    variance += test.squares;
    Sums train;
    for (int size = 0; size < kSizes; ++size) {
      for (size_t i = size == 0 ? 0 : size_t{1} << (size - 1); i < (size_t{1} << size); ++i)
        train.Add(*others[i]);
      if (train.count == 0) {
        for (auto& by_size : error) by_size[size] += test.squares;
        continue;
      }
      const at::Tensor p = train.a / train.count, q = train.y / train.count;
      const Sums seen = train.About(p, q), unseen = test.About(p, q);
      const double scale = seen.gram.diagonal().mean().item<double>();
      for (size_t r = 0; r < kRidges.size(); ++r) {
        at::Tensor w = w0;
        if (const double lambda = kRidges[r] * scale; lambda > 0) {
          at::Tensor penalised = seen.gram.clone();
          penalised.diagonal() += lambda;
          w = at::cholesky_solve(seen.cross + lambda * w0, at::linalg_cholesky(penalised));
        }
        error[r][size] += unseen.squares - 2 * (w * unseen.cross).sum().item<double>() +
                          (w * unseen.gram.matmul(w)).sum().item<double>();
      }
    }
  }
  if (!(variance > 0)) return;
  ++blocks_;
  for (size_t r = 0; r < kRidges.size(); ++r)
    for (int size = 0; size < kSizes; ++size) unexplained_[r][size] += error[r][size] / variance;
}

size_t CrossValidation::Index(double ridge) {
  size_t nearest = 0;
  for (size_t r = 0; r < kRidges.size(); ++r)
    if (std::abs(std::log(kRidges[r] / ridge)) < std::abs(std::log(kRidges[nearest] / ridge))) nearest = r;
  return nearest;
}

double CrossValidation::Ridge() const {
  size_t best = 0;
  for (size_t r = 0; r < kRidges.size(); ++r)
    if (unexplained_[r].back() < unexplained_[best].back()) best = r;
  return kRidges[best];
}

int64_t CrossValidation::Tokens(double ridge) const {
  const auto& by_size = unexplained_[Index(ridge)];
  for (int size = 0; size + 1 < kSizes; ++size)
    if (by_size[size] - by_size[size + 1] < kWorthwhile * by_size[size]) return (tokens_ << size) / kParts;
  return tokens_;
}

double CrossValidation::Unexplained(double ridge) const {
  return unexplained_[Index(ridge)].back() / std::max(1, blocks_);
}

}  // namespace thimble::distill
