#include "distill/start/block_cut.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "models/encoder/experts.h"
#include "models/torch/mixing.h"

namespace thimble::distill {
namespace {

constexpr double kRidge = 1e-6;  // of the mean variance: a student may be wider than its teacher

// Places of neurons among those of a block in `groups` groups, [n] int64: each in the group of the greatest
// worth that has room. worth [groups, n].
at::Tensor Places(const at::Tensor& worth, int64_t width) {
  const int64_t groups = worth.size(0), room = width / groups;
  std::vector<int64_t> taken(static_cast<size_t>(groups), 0), places;
  const at::Tensor by_worth = std::get<1>(worth.sort(/*stable=*/true, 0, /*descending=*/true)).contiguous();
  const auto order = by_worth.accessor<int64_t, 2>();
  for (int64_t n = 0; n < worth.size(1); ++n) {
    int64_t choice = 0;
    while (taken[static_cast<size_t>(order[choice][n])] == room) ++choice;
    const int64_t group = order[choice][n];
    places.push_back(group * room + taken[static_cast<size_t>(group)]++);
  }
  return at::tensor(places, at::kLong);
}

// Every group as useful a part of them.
at::Tensor Dealt(int64_t count, int64_t width, int64_t groups) {
  const at::Tensor rank = at::arange(count, at::kLong);
  return rank.remainder(groups) * (width / groups) + rank.div(groups, "floor");
}

class Writer {
 public:
  Writer(const Neurons& neurons, const BlockState& state, int64_t groups, int64_t width, std::string scope,
         models::Model* student)
      : neurons_(neurons),
        state_(state),
        groups_(groups),
        width_(width),
        scope_(std::move(scope)),
        weights_(student->weights) {}

  void Dense(bool writes) {
    SetRows("up", at::arange(neurons_.up.size(0), at::kLong), neurons_.up, neurons_.bias);
    Hidden(at::eye(width_, at::kDouble));
    if (!writes) return;
    weights_.at(scope_ + "down.weight").slice(1, 0, neurons_.down.size(1)).copy_(neurons_.down);
    weights_.at(scope_ + "down.bias").copy_(neurons_.down_bias);
  }

  void Grouped(bool writes) {
    const int64_t channels = neurons_.up.size(1) / groups_;
    const at::Tensor reads = neurons_.up.matmul(state_.covariance);  // [n, d]
    std::vector<at::Tensor> guesses, worth, level;
    for (int64_t k = 0; k < groups_; ++k) {
      const auto own = [&](const at::Tensor& x) { return x.narrow(-1, k * channels, channels); };
      at::Tensor gram = own(state_.covariance.narrow(0, k * channels, channels)).clone();
      gram.diagonal() += kRidge * state_.covariance.diagonal().mean();
      const at::Tensor guess = at::cholesky_solve(own(reads).t(), at::linalg_cholesky(gram)).t();
      guesses.push_back(guess);
      worth.push_back((guess * own(reads)).sum(1));
      level.push_back(neurons_.up.mv(state_.mean) - guess.mv(own(state_.mean)));
    }
    const at::Tensor places = Places(at::stack(worth), width_);
    const at::Tensor group = places.div(width_ / groups_, "floor").unsqueeze(0);
    const auto chosen = [&](const std::vector<at::Tensor>& all) {  // [g, n, ..]
      const at::Tensor stacked = at::stack(all);
      at::Tensor index = group;
      if (stacked.dim() == 3) index = group.unsqueeze(2).expand({1, group.size(1), stacked.size(2)});
      return stacked.gather(0, index)[0];
    };
    SetRows("up", places, chosen(guesses), neurons_.bias + chosen(level));
    Hidden(at::eye(width_ / groups_, at::kDouble).repeat({groups_, 1}));
    if (!writes) return;
    weights_.at(scope_ + "down.weight").copy_(DiagonalBlocks(Spread(neurons_.down, places), groups_));
    weights_.at(scope_ + "down.bias").copy_(neurons_.down_bias);
  }

  // Hidden linears hand on what they read in the order in which factors are interleaved.
  void Monarchs(bool writes) {
    const at::Tensor places = Dealt(neurons_.up.size(0), width_, groups_);
    const at::Tensor up =
        at::zeros({width_, neurons_.up.size(1)}, at::kDouble).index_copy(0, places, neurons_.up);
    const Monarch near = NearestMonarch(up, groups_);
    weights_.at(scope_ + "up.inner.weight").copy_(near.inner);
    weights_.at(scope_ + "up.weight").copy_(near.outer);
    const at::Tensor interleaved = models::Interleaved(at::arange(near.inner.size(0), at::kLong), groups_);
    const at::Tensor made = FromDiagonalBlocks(near.outer, groups_)
                                .matmul(FromDiagonalBlocks(near.inner, groups_).index_select(0, interleaved));
    const at::Tensor bias = at::zeros({width_}, at::kDouble).index_copy(0, places, neurons_.bias);
    weights_.at(scope_ + "up.bias").copy_(bias + (up - made).mv(state_.mean));
    const int hidden = Hidden(at::eye(width_ / groups_, at::kDouble).repeat({groups_, 1}));
    at::Tensor down = Spread(neurons_.down, places);
    for (int i = 0; i < hidden; ++i) down = models::Interleaved(down, groups_);
    const Monarch last = NearestMonarch(down, groups_);
    weights_.at(scope_ + "down.inner.weight").copy_(last.inner);
    if (!writes) return;
    weights_.at(scope_ + "down.weight").copy_(last.outer);
    weights_.at(scope_ + "down.bias").copy_(neurons_.down_bias);
  }

 private:
  void SetRows(const std::string& name, const at::Tensor& places, const at::Tensor& weight,
               const at::Tensor& bias) {
    at::Tensor &weights = weights_.at(scope_ + name + ".weight"),
               &biases = weights_.at(scope_ + name + ".bias");
    weights.index_copy_(0, places, weight.to(weights.scalar_type()));
    biases.index_copy_(0, places, bias.to(biases.scalar_type()));
  }
  at::Tensor Spread(const at::Tensor& down, const at::Tensor& places) const {
    return at::zeros({down.size(0), width_}, at::kDouble).index_copy(1, places, down);
  }
  // Further hidden linears hand on what they read, until they are trained. Returns how many there are.
  int Hidden(const at::Tensor& identity) {
    int count = 0;
    for (;; ++count) {
      const std::string name = scope_ + "hidden." + std::to_string(count);
      if (!weights_.Has(name + ".weight")) return count;
      weights_.at(name + ".weight").copy_(identity);
      weights_.at(name + ".bias").zero_();
      if (weights_.Has(name + ".inner.weight")) weights_.at(name + ".inner.weight").copy_(identity);
    }
  }

  const Neurons& neurons_;
  const BlockState& state_;
  const int64_t groups_, width_;
  const std::string scope_;
  models::Weights& weights_;
};

}  // namespace

void SetBlocks(const Neurons& neurons, const BlockState& state, const models::LayerShape& layer,
               const std::string& scope, bool writes, models::Model* student) {
  const int64_t shared = layer.ffn.routed().shared(), count = neurons.up.size(0);
  const auto set = [&](const std::string& part, int64_t first, int64_t width, bool bias) {
    if (!student->weights.Has(scope + part + "down.weight")) return;
    const int64_t begin = std::min(first, count), size = std::min(first + width, count) - begin;
    SetBlock(
        {neurons.up.narrow(0, begin, size), neurons.bias.narrow(0, begin, size),
         neurons.down.narrow(1, begin, size), bias ? neurons.down_bias : at::zeros_like(neurons.down_bias)},
        state, layer.ffn, width, scope + part, writes, student);
  };
  if (shared > 0) set("shared.", 0, shared, false);
  const int experts = models::Experts(layer.ffn);
  if (experts == 1) set("", 0, layer.width, true);
  for (int e = 0; experts > 1 && e < experts; ++e)
    set("expert." + std::to_string(e) + ".", shared, layer.width, true);
}

BlockState StateOf(const Reader& reader, const at::Tensor& embed) {
  const at::Tensor spread = embed.matmul(reader.spread);
  return {embed.mv(reader.mean), spread.matmul(spread.t())};
}

at::Tensor DiagonalBlocks(const at::Tensor& matrix, int64_t groups) {
  if (groups == 1) return matrix;
  const at::Tensor apart = matrix.unflatten(1, {groups, -1}).unflatten(0, {groups, -1});  // [g, o, g, i]
  return apart.diagonal(0, 0, 2).permute({2, 0, 1}).flatten(0, 1).contiguous();
}

at::Tensor FromDiagonalBlocks(const at::Tensor& blocks, int64_t groups) {
  if (groups == 1) return blocks;
  const at::Tensor apart = blocks.unflatten(0, {groups, -1});
  at::Tensor matrix = at::zeros({groups, apart.size(1), groups, apart.size(2)}, blocks.options());
  for (int64_t k = 0; k < groups; ++k) matrix[k].select(1, k).copy_(apart[k]);
  return matrix.flatten(2, 3).flatten(0, 1);
}

// Block (j, k) of the product is the sum over u of column (u, k) of outer block j times row (u, j) of inner
// block k.
Monarch NearestMonarch(const at::Tensor& matrix, int64_t groups) {
  const int64_t out = matrix.size(0), in = matrix.size(1), depth = std::min(out, in) / groups / groups;
  const at::Tensor blocks =
      matrix.view({groups, out / groups, groups, in / groups}).transpose(1, 2).contiguous();  // [j, k, o, i]
  const auto [u, s, vh] = at::linalg_svd(blocks, /*full_matrices=*/false);
  const at::Tensor root = s.narrow(-1, 0, depth).sqrt();
  const at::Tensor left = u.narrow(-1, 0, depth) * root.unsqueeze(-2);    // [j, k, o, u]
  const at::Tensor right = vh.narrow(-2, 0, depth) * root.unsqueeze(-1);  // [j, k, u, i]
  return {right.permute({1, 2, 0, 3}).reshape({groups * groups * depth, in / groups}),
          left.permute({0, 2, 3, 1}).reshape({out, groups * depth})};
}

void SetBlock(const Neurons& neurons, const BlockState& state, const proto::FeedForward& ffn, int64_t width,
              const std::string& scope, bool writes, models::Model* student) {
  student->weights.at(scope + "down.weight").zero_();
  student->weights.at(scope + "down.bias").zero_();
  if (!student->weights.Has(scope + "up.weight")) return;
  Writer writer(neurons, state, ffn.groups(), width, scope, student);
  if (ffn.groups() == 1) return writer.Dense(writes);
  return ffn.monarch() ? writer.Monarchs(writes) : writer.Grouped(writes);
}

}  // namespace thimble::distill
