#include "distill/start/output_path.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "base/error.h"
#include "models/torch/torch_ops.h"

namespace thimble::distill {
namespace {

using models::Node;
using models::Operator;

// How near to the end of an activation's range a target may lie and still be inverted.
constexpr double kInside = 0.9;
constexpr double kLinearPart = 3;  // standard deviations of a goal by which it is shifted above zero

at::Tensor Activation(Operator op, const at::Tensor& x) {
  const models::Model model;
  const models::Batch batch;
  const models::ForwardOptions options;
  models::TorchOps ops(model, batch, options);
  return models::TorchOps::In(models::UnaryOf(op).form("", models::TorchOps::Of(x), ops));
}

at::Tensor Combine(Operator op, const at::Tensor& left, const at::Tensor& right) {
  const int64_t width = std::min(left.size(-1), right.size(-1));
  const auto a = models::TorchOps::Of(left.narrow(-1, 0, width)),
             b = models::TorchOps::Of(right.narrow(-1, 0, width));
  const models::Model model;
  const models::Batch batch;
  const models::ForwardOptions options;
  models::TorchOps ops(model, batch, options);
  return models::TorchOps::In(models::BinaryOf(op).form("", a, b, ops));
}

// Evaluates the sub-tree at `root`, which holds no linear of wb2.
at::Tensor Evaluate(const models::Model& model, const std::string& block, const std::vector<Node>& nodes,
                    int root, const at::Tensor& x) {
  const Node& node = nodes[root];
  if (node.op == Operator::kInput) return x;
  at::Tensor left = Evaluate(model, block, nodes, node.left, x);
  if (node.op == Operator::kLinear1) return models::Linear(model, block + "up", left);
  THIMBLE_CHECK(node.op != Operator::kLinear2, "wb2 occurs twice");
  if (models::IsUnary(node.op)) return Activation(node.op, left);
  return Combine(node.op, left, Evaluate(model, block, nodes, node.right, x));
}

int FindSecondLinear(const std::vector<Node>& nodes) {
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].op == Operator::kLinear2) return static_cast<int>(i);
  }
  THIMBLE_CHECK(false, "an expression without wb2");
  return -1;
}

std::string BlockPrefix(int layer, int stack) {
  return "layer." + std::to_string(layer) + ".ffn." + std::to_string(stack) + ".";
}

at::Tensor Inverse(Operator op, const at::Tensor& y) {
  switch (op) {
    case Operator::kTanh:
      return at::atanh(y.clamp(-kInside, kInside));
    case Operator::kSigmoid:
      return at::logit(y.clamp((1 - kInside) / 2, (1 + kInside) / 2));
    case Operator::kElu:
      return at::where(y > 0, y, at::log1p(y.clamp_min(-kInside)));
    default:
      return y;  // near the identity for positive y, nearly flat for negative y
  }
}

}  // namespace

OutputPath::OutputPath(const models::Model& model, int layer, int stack, const models::LayerShape& shape,
                       const at::Tensor& x) {
  const std::vector<Node>& nodes = shape.expression.nodes();
  // Nodes are in post-order: the parents of the path follow one another.
  int child = FindSecondLinear(nodes);
  for (int i = child + 1; i < static_cast<int>(nodes.size()); ++i) {
    const Node& node = nodes[i];
    if (node.left != child && node.right != child) continue;
    THIMBLE_CHECK(!models::IsLinear(node.op), "a linear above the linear of wb2");
    Step step{node.op, {}};
    if (models::IsBinary(node.op)) {
      int other = node.left == child ? node.right : node.left;
      step.other =
          Evaluate(model, BlockPrefix(layer, stack), nodes, other, x).narrow(-1, 0, model.shape.hidden);
    }
    steps_.push_back(step);
    child = i;
  }
}

at::Tensor OutputPath::Apply(const at::Tensor& u) const {
  at::Tensor value = u;
  for (const Step& step : steps_) {
    value = step.other.defined() ? Combine(step.op, value, step.other) : Activation(step.op, value);
  }
  return value;
}

at::Tensor OutputPath::Derivative(const at::Tensor& u) const {
  at::AutoGradMode grad(true);
  at::Tensor leaf = u.detach().requires_grad_(true);
  return torch::autograd::grad({Apply(leaf).sum()}, {leaf})[0];
}

bool OutputPath::affine() const {
  return std::all_of(steps_.begin(), steps_.end(),
                     [](const Step& step) { return step.op == Operator::kAdd; });
}

OutputPath OutputPath::Every(int64_t stride) const {
  OutputPath path = *this;
  for (Step& step : path.steps_) {
    if (step.other.defined()) step.other = step.other.slice(0, 0, step.other.size(0), stride);
  }
  return path;
}

double OutputPath::Shift(const at::Tensor& y) const {
  Operator root = steps_.empty() ? Operator::kAdd : steps_.back().op;
  if (!models::IsUnary(root) || root == Operator::kTanh) return 0;
  return root == Operator::kSigmoid ? 0.5 : kLinearPart * y.square().mean().sqrt().item<double>();
}

at::Tensor OutputPath::Start(const at::Tensor& y) const {
  at::Tensor value = y;
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    if (step->op == Operator::kMul) return {};
    if (step->op == Operator::kAdd) value = value - step->other;
    if (models::IsUnary(step->op)) value = Inverse(step->op, value);
  }
  return value;
}

at::Tensor SecondInput(const models::Model& model, int layer, int stack, const models::LayerShape& shape,
                       const at::Tensor& x) {
  const std::vector<Node>& nodes = shape.expression.nodes();
  return Evaluate(model, BlockPrefix(layer, stack), nodes, nodes[FindSecondLinear(nodes)].left, x);
}

}  // namespace thimble::distill
