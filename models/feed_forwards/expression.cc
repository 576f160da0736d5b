// A searched block: the expression's nodes in post-order, operands of unlike width cut to the narrower.
// EfficientBERT, Dong et al., EMNLP Findings 2021; docs/expressions.md.
#include <algorithm>

#include "models/encoder/kinds.h"

namespace thimble::models {

Value ExpressionBlock(const LayerShape& layer, int outer, const Value& x, Ops& ops) {
  struct Step {
    Value value;
    int width;
  };
  std::vector<Step> steps;
  for (const Node& node : layer.expression.nodes()) {
    const std::string name = "f" + std::to_string(steps.size());
    const auto operand = [&](int index) -> const Step& { return steps[index]; };
    if (node.op == Operator::kInput) {
      steps.push_back({x, outer});
    } else if (node.op == Operator::kLinear1) {
      steps.push_back({ops.Linear("up", operand(node.left).value, layer.width), layer.width});
    } else if (node.op == Operator::kLinear2) {
      steps.push_back({ops.Linear("down", operand(node.left).value, outer), outer});
    } else if (IsBinary(node.op)) {
      const int width = std::min(operand(node.left).width, operand(node.right).width);
      const auto cut = [&](const Step& step) {
        return step.width == width ? step.value : ops.Crop(name, step.value, width);
      };
      const Value left = cut(operand(node.left)), right = cut(operand(node.right));
      steps.push_back({ops.Combine(name, node.op, left, right), width});
    } else {
      steps.push_back({ops.Apply(name, node.op, operand(node.left).value), operand(node.left).width});
    }
  }
  return steps.back().value;
}

}  // namespace thimble::models
