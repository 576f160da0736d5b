// The refit: block by block, output linear and LayerNorm by least squares, judged on held-out rows. Refitting
// a compressed transformer's blocks in order to the teacher's outputs follows Kwon et al., NeurIPS 2022.
#include "distill/start/refit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "distill/start/basis.h"
#include "distill/start/block_cut.h"
#include "distill/start/block_fit.h"
#include "distill/start/cross_validation.h"
#include "distill/start/cut.h"
#include "distill/start/linear_fit.h"
#include "distill/start/output_path.h"
#include "distill/start/route.h"
#include "distill/start/sample.h"
#include "distill/start/teacher_record.h"
#include "models/encoder/encoder.h"
#include "models/encoder/kinds.h"
#include "models/torch/products.h"

namespace thimble::distill {
namespace {

constexpr int64_t kNormStride = 4;  // two numbers a channel need no more than every fourth token
// Steps towards a goal through an activation see every fourth token: a third of the time of all tokens, and
// the untrained loss of six random students was 9.40 with it, 9.58 without.
constexpr int64_t kGaussNewtonStride = 4;

// Explained variance of the target's state.
double R2(const at::Tensor& state, const Target& target) {
  at::Tensor e = state - target.state;
  const double error = Weighed(e.square_(), target.weights).sum(at::kDouble).item<double>();
  return 1 - error / std::max(target.variance, 1e-12);
}

class Walker {
 public:
  Walker(const RefitInput& input, models::Model* student) : input_(input), student_(*student) {}
  std::vector<BlockFit> Walk();

 private:
  void EmbeddingBlock();
  void NarrowEmbeddingBlock();
  void MixerBlock(int layer, const proto::Mixer& mixer);
  void FeedForwardBlock(int layer, int stack);
  void RoutedBlock(int layer, int stack);
  void Fit(const Block& block, const View& fit, const View& held_out);
  // What the block's linear might become, by goal.
  std::vector<std::pair<std::string, LinearWeights>> Solutions(const Block& block, const View& fit,
                                                               const LinearWeights& sliced) const;

  // Scale and shift of each channel by regression of the target state [N, d] on n [N, d], rows by `weights`.
  void FitNorm(const at::Tensor& n, const at::Tensor& state, const at::Tensor& weights, Trial* trial) const;
  // Fills in the held-out state and its explained variance, n [N, d] being the normalised sum there.
  void Judge(const View& held_out, const at::Tensor& n, Trial* trial) const;
  const Target& Goal(const std::vector<Target>& targets, int layer, bool attention) const {
    int from = input_.layer_map[layer] - 1;
    return targets[attention && !Repeats(input_.layer_map, layer) ? AttentionNorm(from) : BlockNorm(from)];
  }

  const RefitInput& input_;
  models::Model& student_;
  at::Tensor fit_, held_out_;  // states so far, [N, d]
  at::Tensor fit_memory_, held_out_memory_;
  std::vector<BlockFit> report_;
};

void Walker::Judge(const View& held_out, const at::Tensor& n, Trial* trial) const {
  trial->held_out_state = at::addcmul(trial->shift, n, trial->scale);
  trial->r2 = R2(trial->held_out_state, *held_out.target);
}

void Walker::FitNorm(const at::Tensor& n, const at::Tensor& state, const at::Tensor& weights,
                     Trial* trial) const {
  const double rows =
      weights.defined() ? weights.sum(at::kDouble).item<double>() : static_cast<double>(n.size(0));
  at::Tensor mean = ColumnSums(Weighed(n, weights)) / rows, goal = ColumnSums(Weighed(state, weights)) / rows;
  at::Tensor spread = n - mean.to(at::kFloat);
  at::Tensor covariance = ColumnSums(Weighed(spread * (state - goal.to(at::kFloat)), weights));
  at::Tensor variance = ColumnSums(Weighed(spread.square_(), weights));
  // A channel that does not vary tells nothing about its scale.
  at::Tensor scale = at::where(variance > 1e-9 * rows, covariance / variance, trial->scale.to(at::kDouble));
  trial->shift = (goal - scale * mean).to(at::kFloat);
  trial->scale = scale.to(at::kFloat);
}

std::vector<std::pair<std::string, LinearWeights>> Walker::Solutions(const Block& block, const View& fit,
                                                                     const LinearWeights& sliced) const {
  bool sum = !block.state, state = block.state, lift = block.state;
  if (input_.goal == proto::Sliced::SUM && !block.further) sum = true, state = lift = false;
  if (input_.goal == proto::Sliced::STATE) state = true, sum = lift = false;
  if (input_.goal == proto::Sliced::LIFT) lift = true, sum = state = false;
  const bool affine = fit.path.affine();
  const int64_t stride = affine ? 1 : kGaussNewtonStride;
  const View thin = affine ? fit : Thin(fit, stride);
  if (input_.on_regression) {
    const at::Tensor goal = fit.target->sum - fit.residual;
    input_.on_regression(block.name, fit.input, goal - goal.mean(1, true), sliced.weight);
  }
  LinearFit solver(thin.input, input_.ridge, block.groups);
  auto towards = [&](const at::Tensor& goal) {
    at::Tensor y = goal.slice(0, 0, goal.size(0), stride) - thin.residual;
    if (double shift = thin.path.Shift(y); shift != 0) y += shift;
    return y;
  };
  auto solve = [&](const at::Tensor& goal) { return solver.Solve(thin.path, towards(goal), sliced); };
  std::vector<std::pair<std::string, LinearWeights>> solutions;
  if (sum) solutions.push_back({"sum", solve(fit.target->sum)});
  const at::Tensor& goal = fit.target->state;
  if (input_.cross_validation && affine && block.groups == 1)
    input_.cross_validation->Add(fit.input, towards(sum ? fit.target->sum : goal), sliced.weight);
  LinearWeights solved;
  if (state || (lift && affine)) solved = solve(goal);
  if (state) solutions.push_back({"state", solved});
  if (lift) {
    at::Tensor added = Lift(goal);
    solutions.push_back(
        {"lift", affine ? LinearWeights{solved.weight, solved.bias + added} : solve(goal + added)});
  }
  return solutions;
}

void Walker::Fit(const Block& block, const View& fit, const View& held_out) {
  const double epsilon = student_.shape.layer_norm_epsilon;
  const bool linear = (input_.what == Refit::kNothing ? held_out : fit).input.x.defined();
  Trial sliced{.goal = "sliced"};
  if (linear) {
    sliced.linear = {FromDiagonalBlocks(student_.weights.at(block.linear + ".weight"), block.groups),
                     student_.weights.at(block.linear + ".bias")};
  }
  sliced.scale = student_.weights.at(block.norm + ".weight");
  sliced.shift = student_.weights.at(block.norm + ".bias");
  View thin;
  at::Tensor thin_state, thin_weights;
  if (input_.what != Refit::kNothing) {
    thin = Thin(fit, kNormStride);
    const auto every = [&](const at::Tensor& x) {
      return x.slice(0, 0, x.size(0), kNormStride).contiguous();
    };
    thin_state = every(fit.target->state);
    if (fit.target->weights.defined()) thin_weights = every(fit.target->weights);
  }
  Values thin_values(thin), held_out_values(held_out);
  Trial best = sliced;
  if (input_.what == Refit::kNormsOnly) {
    // A further block of a supernet adds nothing yet; with the lift it hands its input on.
    if (block.further && linear) best.linear.bias = sliced.linear.bias + Lift(fit.target->state);
    FitNorm(thin_values.Normalised(best.linear, epsilon), thin_state, thin_weights, &best);
  } else {
    Judge(held_out, held_out_values.Normalised(sliced.linear, epsilon), &sliced);
    best = sliced;
    auto consider = [&](const std::string& goal, const LinearWeights& weights) {
      Trial trial = sliced;
      trial.goal = goal;
      trial.linear = weights;
      FitNorm(thin_values.Normalised(weights, epsilon), thin_state, thin_weights, &trial);
      Judge(held_out, held_out_values.Normalised(weights, epsilon), &trial);
      if (trial.r2 > best.r2) best = trial;
    };
    if (input_.what == Refit::kAll) {
      consider("norm", sliced.linear);
      if (linear) {
        for (const auto& [goal, weights] : Solutions(block, fit, sliced.linear)) consider(goal, weights);
      }
    }
  }
  report_.push_back({block.name, sliced.r2, best.r2, best.r2 > sliced.r2, best.goal});
  auto set = [&](const std::string& name, const at::Tensor& value) {
    at::Tensor& weight = student_.weights.at(name);
    if (!weight.is_same(value)) weight.copy_(value);
  };
  if (linear) {
    std::vector<std::string> names = {block.linear};
    names.insert(names.end(), block.also.begin(), block.also.end());
    for (const std::string& name : names) {
      set(name + ".weight", DiagonalBlocks(best.linear.weight, block.groups));
      set(name + ".bias", best.linear.bias);
    }
  }
  set(block.norm + ".weight", best.scale);
  set(block.norm + ".bias", best.shift);
  if (input_.what != Refit::kNothing)
    fit_ = at::addcmul(best.shift, Values(fit).Normalised(best.linear, epsilon), best.scale);
  held_out_ = best.held_out_state;
}

// Its linear stands behind the norm, and in the place of a norm's scale and shift.
void Walker::NarrowEmbeddingBlock() {
  const std::string name = "embedding.project";
  const auto normed = [&](const Rows& rows) {
    return models::LayerNorm(student_, "embedding.norm", PackedEmbeddingSum(student_, rows));
  };
  const LinearWeights sliced{student_.weights.at(name + ".weight"), student_.weights.at(name + ".bias")};
  LinearWeights fitted = sliced;
  at::Tensor x;
  if (input_.what != Refit::kNothing) {
    x = normed(input_.record.fit);
    const Target& target = input_.fit[0];
    fitted = LinearFit(Centred(x, target.weights), input_.ridge).Solve({}, target.state, sliced);
  }
  BlockFit fit{"embedding", 0, 0, false, "sliced"};
  const at::Tensor held_out = normed(input_.record.held_out);
  const auto judge = [&](const LinearWeights& linear, at::Tensor* state) {
    *state = models::Linear(held_out, linear.weight, linear.bias);
    return R2(*state, input_.held_out[0]);
  };
  at::Tensor before, after;
  fit.before = judge(sliced, &before);
  fit.after = judge(fitted, &after);
  fit.refitted = fit.after > fit.before;
  if (fit.refitted) {
    fit.goal = "state";
    student_.weights.at(name + ".weight").copy_(fitted.weight);
    student_.weights.at(name + ".bias").copy_(fitted.bias);
  } else {
    fit.after = fit.before;
  }
  held_out_ = fit.refitted ? after : before;
  if (x.defined()) fit_ = models::Linear(student_, name, x);
  report_.push_back(fit);
}

void Walker::EmbeddingBlock() {
  if (models::EntryOf(student_.shape.embedding).narrow) return NarrowEmbeddingBlock();
  auto view = [&](const Rows& rows, const std::vector<Target>& targets) {
    View view{PackedEmbeddingSum(student_, rows), {}, {}, &targets[0]};
    if (student_.shape.projected > 0) {
      at::Tensor input = PackedEmbeddingInput(student_, rows);
      view.residual = view.residual - models::Linear(student_, "embedding.project", input);
      view.input = Centred(input, targets[0].weights);
    }
    return view;
  };
  Fit({"embedding", "embedding.project", "embedding.norm"}, view(input_.record.fit, input_.fit),
      view(input_.record.held_out, input_.held_out));
}

void Walker::MixerBlock(int layer, const proto::Mixer& mixer) {
  const std::string name = models::MixerScope(layer, mixer);
  auto view = [&](const Rows& rows, const at::Tensor& x, const std::vector<Target>& targets) {
    const at::Tensor context = PackedContext(student_, layer, mixer, rows, x);
    const Target& goal = Goal(targets, layer, true);
    return View{x, context.defined() ? Centred(context, goal.weights) : Centred(), {}, &goal};
  };
  View fit, held_out;
  if (input_.what != Refit::kNothing) fit = view(input_.record.fit, fit_, input_.fit);
  if (input_.what != Refit::kNormsOnly) held_out = view(input_.record.held_out, held_out_, input_.held_out);
  const bool repeats = Repeats(input_.layer_map, layer);
  Fit({name, name + "." + models::kOutput, name + ".norm", repeats, repeats}, fit, held_out);
}

void Walker::FeedForwardBlock(int layer, int stack) {
  const proto::FeedForward& ffn = student_.shape.layers[layer].ffn;
  if (ffn.has_routed()) return RoutedBlock(layer, stack);
  std::string name = "layer." + std::to_string(layer) + ".ffn." + std::to_string(stack);
  auto view = [&](const at::Tensor& x, const std::vector<Target>& targets, at::Tensor* memory) {
    FeedForwardReading block =
        ReadFeedForward(student_, layer, stack, student_.shape.layers[layer], x, memory);
    const Target& goal = Goal(targets, layer, false);
    return View{x, block.input.defined() ? Centred(block.input, goal.weights) : Centred(),
                std::move(block.path), &goal};
  };
  View fit, held_out;
  if (input_.what != Refit::kNothing) fit = view(fit_, input_.fit, &fit_memory_);
  if (input_.what != Refit::kNormsOnly) held_out = view(held_out_, input_.held_out, &held_out_memory_);
  const bool further = stack > 0 || Repeats(input_.layer_map, layer);
  Block block{name, name + ".down", name + ".norm", further, true, ffn.groups()};
  if (ffn.has_merged()) {  // experts that are alike are one, whatever the gates
    block.linear = name + ".expert.0.down";
    for (int e = 1; e < ffn.merged().count(); ++e)
      block.also.push_back(name + ".expert." + std::to_string(e) + ".down");
  }
  Fit(block, fit, held_out);
}

// The norm, and if that explains more experts of their own for clusters of the tokens.
void Walker::RoutedBlock(int layer, int stack) {
  const models::LayerShape& shape = student_.shape.layers[layer];
  const std::string name = "layer." + std::to_string(layer) + ".ffn." + std::to_string(stack);
  const Block block{name, "", name + ".norm", stack > 0 || Repeats(input_.layer_map, layer), true};
  const at::Tensor fit_state = fit_, held_out_state = held_out_;
  const auto fit_norm = [&] {
    const auto view = [&](const at::Tensor& x, const std::vector<Target>& targets) {
      return View{x + models::FeedForwardValue(student_, layer, stack, shape, x),
                  {},
                  {},
                  &Goal(targets, layer, false)};
    };
    View fit, held_out;
    if (input_.what != Refit::kNothing) fit = view(fit_state, input_.fit);
    if (input_.what != Refit::kNormsOnly) held_out = view(held_out_state, input_.held_out);
    Fit(block, fit, held_out);
  };
  // As other further blocks (Fit): experts that are alike are near one block.
  for (int e = 0; input_.what == Refit::kNormsOnly && block.further && e < shape.ffn.routed().count(); ++e)
    student_.weights.at(name + ".expert." + std::to_string(e) + ".down.bias") +=
        Lift(Goal(input_.fit, layer, false).state);
  fit_norm();
  if (input_.what != Refit::kAll) return;
  BlockFit best = report_.back();
  const Target& goal = Goal(input_.fit, layer, false);
  const auto keep = [&] {
    std::vector<std::pair<std::string, at::Tensor>> kept;
    for (const auto& [weight, tensor] : student_.weights)
      if (weight.starts_with(name + ".")) kept.emplace_back(weight, tensor.clone());
    return kept;
  };
  const auto put_back = [&](const std::vector<std::pair<std::string, at::Tensor>>& kept) {
    for (const auto& [weight, tensor] : kept) student_.weights.at(weight).copy_(tensor);
  };
  const auto alike = keep();
  auto weights = alike;
  at::Tensor fit = fit_, held_out = held_out_;
  const auto consider = [&](const at::Tensor& wanted) {
    put_back(alike);
    FitExperts({layer, stack, input_.ridge, fit_state, wanted, goal.weights}, &student_);
    fit_norm();
    const double after = report_.back().after;
    report_.pop_back();
    if (after <= best.after) return;
    best.after = after;
    best.goal = "experts";
    weights = keep();
    fit = fit_;
    held_out = held_out_;
  };
  if (input_.goal != proto::Sliced::LIFT) consider(goal.state);
  if (input_.goal != proto::Sliced::STATE) consider(goal.state + Lift(goal.state));
  put_back(weights);
  fit_ = fit;
  held_out_ = held_out;
  best.refitted = best.after > best.before;
  report_.back() = best;
}

std::vector<BlockFit> Walker::Walk() {
  EmbeddingBlock();
  for (size_t layer = 0; layer < student_.shape.layers.size(); ++layer) {
    const models::LayerShape& shape = student_.shape.layers[layer];
    const at::Tensor fit = fit_, held_out = held_out_;
    for (const proto::Mixer& mixer : shape.beside) {  // each reads what the first reads, and nobody reads it
      MixerBlock(layer, mixer);
      fit_ = fit;
      held_out_ = held_out;
    }
    MixerBlock(layer, shape.mixer);
    for (int stack = 0; stack < student_.shape.layers[layer].stacks; ++stack) FeedForwardBlock(layer, stack);
  }
  return report_;
}

}  // namespace

std::vector<BlockFit> RefitBlocks(const RefitInput& input, models::Model* student) {
  return Walker(input, student).Walk();
}

}  // namespace thimble::distill
