#include "distill/start/route.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/random.h"
#include "distill/start/block_cut.h"
#include "distill/start/linear_fit.h"
#include "models/torch/dispatch.h"

namespace thimble::distill {
namespace {

constexpr int64_t kClustered = 8192;  // rows that k-means sees
constexpr int kLloydSteps = 20;
// The router's logits differ by so much between a token's centre and the next, on average: sure enough that
// noise of a tenth moves few tokens, and not so sure that gates, by which experts are multiplied, vary much.
constexpr double kMargin = 0.5;

at::Tensor SquaredDistances(const at::Tensor& x, const at::Tensor& centres) {  // [N, k]
  return x.square().sum(1, true) - 2 * x.matmul(centres.t()) + centres.square().sum(1);
}

// Logits -t |x - c|^2, without what all experts share.
void SetRouter(const at::Tensor& x, const at::Tensor& centres, const std::string& name,
               models::Model* student) {
  const auto nearest = std::get<0>(SquaredDistances(x, centres).topk(2, 1, /*largest=*/false));
  const double gap = (nearest.select(1, 1) - nearest.select(1, 0)).mean().item<double>();
  const double factor = kMargin / std::max(gap, 1e-12);
  student->weights.at(name + ".weight").copy_(2 * factor * centres);
  student->weights.at(name + ".bias").copy_(-factor * centres.square().sum(1));
}

}  // namespace

at::Tensor Centres(const at::Tensor& x, int64_t k) {
  Random random(1);
  const at::Tensor rows = x.slice(0, 0, x.size(0), std::max<int64_t>(1, x.size(0) / kClustered)).contiguous();
  const int64_t first = static_cast<int64_t>(random.Below(static_cast<uint64_t>(rows.size(0))));
  at::Tensor centres = rows.narrow(0, first, 1).clone();
  while (centres.size(0) < k) {
    const at::Tensor far =
        std::get<0>(SquaredDistances(rows, centres).clamp_min(0).min(1)).to(at::kDouble).cumsum(0);
    const double at = random.Uniform() * far[-1].item<double>();
    const int64_t next = std::min((far <= at).sum().item<int64_t>(), rows.size(0) - 1);
    centres = at::cat({centres, rows.narrow(0, next, 1)});
  }
  for (int step = 0; step < kLloydSteps; ++step) {
    const at::Tensor own = SquaredDistances(rows, centres).argmin(1);
    for (int64_t c = 0; c < k; ++c) {
      const at::Tensor members = (own == c).nonzero().flatten();
      if (members.size(0) > 0) centres[c].copy_(rows.index_select(0, members).mean(0));
    }
  }
  return centres;
}

void FitExperts(const RouteInput& input, models::Model* student) {
  const models::LayerShape& shape = student->shape.layers[static_cast<size_t>(input.layer)];
  const int count = shape.ffn.routed().count();
  if (input.x.size(0) < count) return;
  const std::string scope =
      "layer." + std::to_string(input.layer) + ".ffn." + std::to_string(input.stack) + ".";
  SetRouter(input.x, Centres(input.x, count), scope + "router", student);
  const auto routing =
      models::experts::Choose(at::softmax(models::Linear(*student, scope + "router", input.x), -1), count);
  // What all tokens go through is taken as it is: of the block's value with experts that are alike, what is
  // not theirs.
  for (int e = 0; e < count; ++e) {
    const at::Tensor& tokens = routing.tokens[static_cast<size_t>(e)];
    const auto own = [&](const at::Tensor& all) { return all.index_select(0, tokens); };
    if (tokens.size(0) == 0) continue;
    const std::string down = scope + "expert." + std::to_string(e) + ".down";
    at::Tensor memory;
    const at::Tensor x = own(input.x), factor = own(routing.factor);
    const FeedForwardReading block =
        ReadFeedForward(*student, input.layer, input.stack, shape, x, &memory, e);
    if (tokens.size(0) < block.input.size(1)) continue;
    at::Tensor& weight = student->weights.at(down + ".weight");
    at::Tensor& bias = student->weights.at(down + ".bias");
    const LinearWeights before = {FromDiagonalBlocks(weight, shape.ffn.groups()), bias};
    const at::Tensor theirs = block.path.Apply(at::linear(block.input, before.weight, before.bias)) * factor;
    const at::Tensor value = models::FeedForwardValue(*student, input.layer, input.stack, shape, x);
    // factor (a W^T + b) is near y as a W^T + b is near y / factor, by the weight factor^2.
    at::Tensor weights = factor.square().squeeze(1);
    if (input.weights.defined()) weights = weights * own(input.weights);
    const at::Tensor goal = (own(input.goal) - x - (value - theirs)) / factor;
    const LinearFit solver(Centred(block.input, weights), input.ridge, shape.ffn.groups());
    const LinearWeights fitted = solver.Solve(block.path, goal, before);
    weight.copy_(DiagonalBlocks(fitted.weight, shape.ffn.groups()));
    bias.copy_(fitted.bias);
  }
}

}  // namespace thimble::distill
