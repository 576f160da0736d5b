#include "distill/start/output_path.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "base/error.h"
#include "models/encoder/encoder.h"
#include "models/encoder/experts.h"
#include "models/torch/torch_ops.h"

namespace thimble::distill {
namespace {

using models::Combination;
using models::Function;
using models::TorchOps;
using models::Value;

// Rows of a block's inner state computed at once: pages of fresh memory for all of them cost as much as their
// arithmetic.
constexpr int64_t kInnerRows = 2048;
// How near to the end of an activation's range a target may lie and still be inverted.
constexpr double kInside = 0.9;
constexpr double kLinearPart = 3;  // standard deviations of a goal by which it is shifted above zero

at::Tensor Inverse(Function function, const at::Tensor& y) {
  switch (function) {
    case Function::kTanh:
      return at::atanh(y.clamp(-kInside, kInside));
    case Function::kSigmoid:
      return at::logit(y.clamp((1 - kInside) / 2, (1 + kInside) / 2));
    case Function::kElu:
      return at::where(y > 0, y, at::log1p(y.clamp_min(-kInside)));
    default:
      return y;  // near the identity for positive y, nearly flat for negative y
  }
}

// Computes a block up to its last linear, and writes down what stands behind it. The linear's output and what
// is made of it are values without a tensor; a word that wants one fails.
class PathOps final : public TorchOps {
 public:
  PathOps(const models::Model& model, const models::Batch& batch, const models::ForwardOptions& options,
          std::string linear)
      : TorchOps(model, batch, options), linear_(std::move(linear)) {}

  at::Tensor input;  // of the linear
  std::vector<OutputPath::Step> steps;

  Value Linear(std::string_view name, const Value& x, int out, models::LinearForm form) override {
    THIMBLE_CHECK(Find(x) < 0, Full(name) + " stands behind " + linear_);
    if (Full(name) != linear_) return TorchOps::Linear(name, x, out, form);
    THIMBLE_CHECK(values_.empty(), linear_ + " stands twice");
    input = In(x);
    return Next();
  }
  Value Apply(std::string_view name, Function function, const Value& x) override {
    const int from = Find(x);
    if (from < 0) return TorchOps::Apply(name, function, x);
    steps.push_back({.word = function, .from = from});
    return Next();
  }
  Value Combine(std::string_view name, Combination how, const Value& a, const Value& b) override {
    const int first = Find(a), second = Find(b);
    if (first < 0 && second < 0) return TorchOps::Combine(name, how, a, b);
    OutputPath::Step step{.word = how, .from = first < 0 ? second : first};
    if (first >= 0 && second >= 0)
      step.with = second;
    else
      step.other = In(first < 0 ? a : b);
    steps.push_back(std::move(step));
    return Next();
  }
  Value Drop(const Value& x) override { return x; }

  bool Last(const Value& value) const {
    return !values_.empty() && Find(value) == static_cast<int>(steps.size());
  }

 private:
  // Of what depends on the linear: 0 the linear's output, i what step i - 1 made. -1: does not.
  int Find(const Value& x) const {
    for (size_t i = 0; i < values_.size(); ++i)
      if (&values_[i].as<at::Tensor>() == &x.as<at::Tensor>()) return static_cast<int>(i);
    return -1;
  }
  Value Next() { return values_.emplace_back(Of(at::Tensor())); }

  const std::string linear_;
  std::vector<Value> values_;
};

// Into the rows from `first` of `all`, which is made when the first of them come.
void Place(const at::Tensor& part, int64_t first, int64_t rows, at::Tensor* all) {
  if (!all->defined()) *all = at::empty({rows, part.size(1)}, part.options());
  all->slice(0, first, first + part.size(0)).copy_(part);
}

}  // namespace

FeedForwardReading ReadFeedForward(const models::Model& model, int layer, int stack,
                                   const models::LayerShape& shape, const at::Tensor& x, at::Tensor* memory,
                                   int expert) {
  const std::string scope = "layer." + std::to_string(layer) + ".ffn." + std::to_string(stack);
  const std::string linear = scope + (expert < 0 ? "" : ".expert." + std::to_string(expert)) + ".down";
  const models::Batch batch;
  const models::ForwardOptions options;
  FeedForwardReading all;
  std::vector<OutputPath::Step>& steps = all.path.steps_;
  for (int64_t first = 0; first < x.size(0); first += kInnerRows) {
    const at::Tensor rows = x.slice(0, first, std::min(x.size(0), first + kInnerRows));
    PathOps ops(model, batch, options, linear);
    const auto run = [&] {
      if (expert < 0) return models::FeedForward(model.shape, layer, stack, shape, TorchOps::Of(rows), ops);
      const models::Ops::Scope block(ops, scope);
      return models::RunExpert(shape, expert, model.shape.block_width(), TorchOps::Of(rows), ops);
    };
    const Value value = run();
    if (!value) return all;
    THIMBLE_CHECK(ops.Last(value), linear + " is not what the block's value is made of");
    if (first == 0) {
      const int64_t size = x.size(0) * ops.input.size(1);
      if (!memory->defined() || memory->numel() < size) *memory = at::empty({size});
      all.input = memory->slice(0, 0, size).view({x.size(0), ops.input.size(1)});
      for (const OutputPath::Step& step : ops.steps)
        steps.push_back({.word = step.word, .from = step.from, .with = step.with});
    }
    Place(ops.input, first, x.size(0), &all.input);
    for (size_t i = 0; i < steps.size(); ++i) {
      const at::Tensor& other = ops.steps[i].other;
      if (!other.defined()) continue;
      if (other.is_same(rows))
        steps[i].other = x;
      else
        Place(other, first, x.size(0), &steps[i].other);
    }
  }
  return all;
}

at::Tensor OutputPath::Apply(const at::Tensor& u) const {
  std::vector<at::Tensor> values = {u};
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const at::Tensor& value = values[step.from];
    if (const auto* function = std::get_if<Function>(&step.word))
      values.push_back(models::Apply(*function, value));
    else
      values.push_back(models::Combine(std::get<Combination>(step.word), value,
                                       step.with < 0 ? step.other : values[step.with]));
    const bool read_again = std::any_of(steps_.begin() + i + 1, steps_.end(), [&](const Step& later) {
      return later.from == step.from || later.with == step.from;
    });
    if (!read_again) values[step.from].reset();
  }
  return values.back();
}

at::Tensor OutputPath::Derivative(const at::Tensor& u) const {
  at::AutoGradMode grad(true);
  at::Tensor leaf = u.detach().requires_grad_(true);
  return torch::autograd::grad({Apply(leaf).sum()}, {leaf})[0];
}

bool OutputPath::affine() const {
  return std::all_of(steps_.begin(), steps_.end(),
                     [](const Step& step) { return step.Is(Combination::kAdd) && step.with < 0; });
}

OutputPath OutputPath::Every(int64_t stride) const {
  OutputPath path = *this;
  for (Step& step : path.steps_) {
    if (step.other.defined()) step.other = step.other.slice(0, 0, step.other.size(0), stride);
  }
  return path;
}

double OutputPath::Shift(const at::Tensor& y) const {
  const auto* root = steps_.empty() ? nullptr : std::get_if<Function>(&steps_.back().word);
  if (root == nullptr || *root == Function::kTanh) return 0;
  return *root == Function::kSigmoid ? 0.5 : kLinearPart * y.square().mean().sqrt().item<double>();
}

at::Tensor OutputPath::Start(const at::Tensor& y) const {
  at::Tensor value = y;
  for (int i = static_cast<int>(steps_.size()) - 1; i >= 0; --i) {
    const Step& step = steps_[i];
    if (step.from != i || step.with >= 0 || step.Is(Combination::kMul)) return {};
    if (step.Is(Combination::kAdd)) value = value - step.other;
    if (const auto* function = std::get_if<Function>(&step.word)) value = Inverse(*function, value);
  }
  return value;
}

}  // namespace thimble::distill
