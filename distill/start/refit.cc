// The refit: block by block, output linear and LayerNorm by least squares, judged on held-out rows. Refitting a
// compressed transformer's blocks in order to the teacher's outputs follows Kwon et al., NeurIPS 2022.
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "distill/start/output_path.h"
#include "distill/start/parts.h"

namespace thimble::distill {
namespace {

constexpr double kLift = 3;         // standard deviations of the state
constexpr int64_t kNormStride = 4;  // two numbers a channel need no more than every fourth token
// Steps towards a goal through an activation see every fourth token: a third of the time of all tokens, and
// the untrained loss of six random students was 9.40 with it, 9.58 without.
constexpr int64_t kGaussNewtonStride = 4;

// One block y = LayerNorm(residual + path(linear(input))), seen from the fit rows and from the held-out rows.
struct View {
  at::Tensor residual;  // [N, d]
  at::Tensor input;     // [N, m]; undefined if the block has no linear to fit
  OutputPath path;
  const Target* target = nullptr;
};
struct Block {
  std::string name, linear, norm;  // of the report; prefixes of weights
  bool sum = true,
       state = false;  // what its linear is fitted to: the teacher's sum, its state, or the better of both
};
struct Trial {
  std::string goal;  // as BlockFit's
  LinearWeights linear;
  at::Tensor scale, shift;    // [d]
  double r2 = 0;              // on the held-out rows
  at::Tensor held_out_state;  // [N, d]
};

// A constant for each channel, without mean, large against the state. A LayerNorm of state + lift is nearly
// linear in the state, which its scale and shift then restore. Without lift each further LayerNorm loses how
// long a token's state is, and blows up a cautious prediction to the length of a sure one.
at::Tensor Lift(const at::Tensor& state) {
  int64_t width = state.size(1);
  double deviation = (state - state.mean(0)).square().mean().sqrt().item<double>();
  at::Tensor lift = at::full({width}, kLift * deviation);
  lift.slice(0, 0, width, 2).neg_();
  return lift - lift.mean();
}

View Thin(const View& view, int64_t stride) {
  auto thin = [&](const at::Tensor& x) { return x.defined() ? x.slice(0, 0, x.size(0), stride) : x; };
  return {thin(view.residual), thin(view.input), view.path.Every(stride), view.target};
}

class Walker {
 public:
  Walker(const RefitInput& input, models::Model* student) : input_(input), student_(*student) {}
  std::vector<BlockFit> Walk();

 private:
  void EmbeddingBlock();
  void AttentionBlock(int layer);
  void FeedForwardBlock(int layer, int stack);
  void Fit(const Block& block, const View& fit, const View& held_out);
  // What the block's linear might become, by goal.
  std::vector<std::pair<std::string, LinearWeights>> Solutions(const Block& block, const View& fit,
                                                               const LinearWeights& sliced) const;

  // LayerNorm without scale and shift of what the block sums, [N, d].
  at::Tensor Normalised(const View& view, const LinearWeights& linear) const;
  // Scale and shift of each channel by regression of the target state [N, d] on n [N, d].
  void FitNorm(const at::Tensor& n, const at::Tensor& state, Trial* trial) const;
  // Fills in the held-out state and its explained variance, n [N, d] being the normalised sum there.
  void Judge(const View& held_out, const at::Tensor& n, Trial* trial) const;
  const Target& Goal(const std::vector<Target>& targets, int layer, bool attention) const {
    int from = input_.layer_map[layer] - 1;
    return targets[attention && !Repeats(input_.layer_map, layer) ? AttentionNorm(from) : BlockNorm(from)];
  }

  const RefitInput& input_;
  models::Model& student_;
  at::Tensor fit_, held_out_;  // states so far, [N, d]
  std::vector<BlockFit> report_;
};

at::Tensor Walker::Normalised(const View& view, const LinearWeights& linear) const {
  at::Tensor sum = view.residual;
  if (view.input.defined()) sum = sum + view.path.Apply(at::linear(view.input, linear.weight, linear.bias));
  return at::layer_norm(sum, {sum.size(1)}, {}, {}, student_.shape.layer_norm_epsilon);
}

void Walker::Judge(const View& held_out, const at::Tensor& n, Trial* trial) const {
  trial->held_out_state = n * trial->scale + trial->shift;
  at::Tensor e = trial->held_out_state - held_out.target->state;
  trial->r2 = 1 - (e * e).sum(at::kDouble).item<double>() / std::max(held_out.target->variance, 1e-12);
}

void Walker::FitNorm(const at::Tensor& n, const at::Tensor& state, Trial* trial) const {
  at::Tensor mean = n.mean(0, false, at::kDouble), goal = state.mean(0, false, at::kDouble);
  at::Tensor spread = n - mean.to(at::kFloat);
  at::Tensor variance = (spread * spread).sum(0, false, at::kDouble);
  at::Tensor covariance = (spread * (state - goal.to(at::kFloat))).sum(0, false, at::kDouble);
  // A channel that does not vary tells nothing about its scale.
  at::Tensor scale =
      at::where(variance > 1e-9 * n.size(0), covariance / variance, trial->scale.to(at::kDouble));
  trial->shift = (goal - scale * mean).to(at::kFloat);
  trial->scale = scale.to(at::kFloat);
}

std::vector<std::pair<std::string, LinearWeights>> Walker::Solutions(const Block& block, const View& fit,
                                                                     const LinearWeights& sliced) const {
  const int64_t stride = fit.path.affine() ? 1 : kGaussNewtonStride;
  const View thin = Thin(fit, stride);
  LinearFit solver(thin.input, input_.ridge);
  auto solve = [&](const at::Tensor& goal) {
    at::Tensor y = goal.slice(0, 0, goal.size(0), stride) - thin.residual;
    if (double shift = thin.path.Shift(y); shift != 0) y += shift;
    return solver.Solve(thin.path, y, sliced);
  };
  std::vector<std::pair<std::string, LinearWeights>> solutions;
  if (block.sum) solutions.push_back({"sum", solve(fit.target->sum)});
  if (!block.state) return solutions;
  const at::Tensor& state = fit.target->state;
  solutions.push_back({"state", solve(state)});
  at::Tensor lift = Lift(state);
  if (fit.path.affine()) {
    const LinearWeights& solved = solutions.back().second;
    solutions.push_back({"lift", {solved.weight, solved.bias + lift}});
  } else {
    solutions.push_back({"lift", solve(state + lift)});
  }
  return solutions;
}

void Walker::Fit(const Block& block, const View& fit, const View& held_out) {
  Trial sliced{.goal = "sliced"};
  if (fit.input.defined()) {
    sliced.linear = {student_.weights.at(block.linear + ".weight"),
                     student_.weights.at(block.linear + ".bias")};
  }
  sliced.scale = student_.weights.at(block.norm + ".weight");
  sliced.shift = student_.weights.at(block.norm + ".bias");
  const View thin = Thin(fit, kNormStride);
  const at::Tensor thin_state = fit.target->state.slice(0, 0, fit.residual.size(0), kNormStride);
  Trial best = sliced;
  if (input_.what == Refit::kNormsOnly) {
    // A further block of a supernet adds nothing yet; with the lift it hands its input on.
    if (!block.sum) best.linear.bias = sliced.linear.bias + Lift(fit.target->state);
    FitNorm(Normalised(thin, best.linear), thin_state, &best);
  } else {
    at::Tensor held_out_n = Normalised(held_out, sliced.linear);
    Judge(held_out, held_out_n, &sliced);
    best = sliced;
    auto consider = [&](const std::string& goal, const LinearWeights& linear, const at::Tensor& n) {
      Trial trial = sliced;
      trial.goal = goal;
      trial.linear = linear;
      FitNorm(Normalised(thin, linear), thin_state, &trial);
      Judge(held_out, n, &trial);
      if (trial.r2 > best.r2) best = trial;
    };
    consider("norm", sliced.linear, held_out_n);
    if (fit.input.defined()) {
      for (const auto& [goal, linear] : Solutions(block, fit, sliced.linear)) {
        consider(goal, linear, Normalised(held_out, linear));
      }
    }
  }
  report_.push_back({block.name, sliced.r2, best.r2, best.r2 > sliced.r2, best.goal});
  auto set = [&](const std::string& name, const at::Tensor& value) {
    at::Tensor& weight = student_.weights.at(name);
    if (!weight.is_same(value)) weight.copy_(value);
  };
  if (fit.input.defined()) {
    set(block.linear + ".weight", best.linear.weight);
    set(block.linear + ".bias", best.linear.bias);
  }
  set(block.norm + ".weight", best.scale);
  set(block.norm + ".bias", best.shift);
  fit_ = Normalised(fit, best.linear) * best.scale + best.shift;
  held_out_ = best.held_out_state;
}

void Walker::EmbeddingBlock() {
  auto view = [&](const Rows& rows, const std::vector<Target>& targets) {
    View view{PackedEmbeddingSum(student_, rows), {}, {}, &targets[0]};
    if (student_.shape.trigram > 0) {
      view.input = PackedEmbeddingInput(student_, rows);
      view.residual = view.residual - models::Linear(student_, "embedding.project", view.input);
    }
    return view;
  };
  Fit({"embedding", "embedding.project", "embedding.norm"}, view(input_.record.fit, input_.fit),
      view(input_.record.held_out, input_.held_out));
}

void Walker::AttentionBlock(int layer) {
  std::string name = "layer." + std::to_string(layer) + ".attention";
  View fit{fit_, PackedContext(student_, layer, input_.record.fit, fit_), {}, &Goal(input_.fit, layer, true)};
  View held_out;
  if (input_.what == Refit::kAll) {
    held_out = {held_out_,
                PackedContext(student_, layer, input_.record.held_out, held_out_),
                {},
                &Goal(input_.held_out, layer, true)};
  }
  const bool repeats = Repeats(input_.layer_map, layer);
  Fit({name, name + ".out", name + ".norm", !repeats, repeats}, fit, held_out);
}

void Walker::FeedForwardBlock(int layer, int stack) {
  std::string name = "layer." + std::to_string(layer) + ".ffn." + std::to_string(stack);
  const models::LayerShape& shape = student_.shape.layers[layer];
  auto view = [&](const at::Tensor& x, const std::vector<Target>& targets) {
    return View{x, SecondInput(student_, layer, stack, shape, x),
                OutputPath(student_, layer, stack, shape, x), &Goal(targets, layer, false)};
  };
  View held_out;
  if (input_.what == Refit::kAll) held_out = view(held_out_, input_.held_out);
  const bool sum = stack == 0 && !Repeats(input_.layer_map, layer);
  Fit({name, name + ".down", name + ".norm", sum, true}, view(fit_, input_.fit), held_out);
}

std::vector<BlockFit> Walker::Walk() {
  EmbeddingBlock();
  for (size_t layer = 0; layer < student_.shape.layers.size(); ++layer) {
    AttentionBlock(layer);
    for (int stack = 0; stack < student_.shape.layers[layer].stacks; ++stack) FeedForwardBlock(layer, stack);
  }
  return report_;
}

}  // namespace

std::vector<BlockFit> RefitBlocks(const RefitInput& input, models::Model* student) {
  return Walker(input, student).Walk();
}

}  // namespace thimble::distill
