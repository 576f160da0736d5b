// A searched block: the expression's nodes in post-order, operands of unlike width cut to the narrower.
// EfficientBERT, Dong et al., EMNLP Findings 2021; docs/expressions.md.
#include <algorithm>

#include "base/error.h"
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::feed_forwards {
namespace {

Value Run(const LayerShape& layer, int outer, const Value& x, Ops& ops) {
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
      steps.push_back(
          {BlockLinear(layer, "up", operand(node.left).value, outer, layer.width, ops), layer.width});
    } else if (node.op == Operator::kLinear2) {
      steps.push_back({BlockLinear(layer, "down", operand(node.left).value, layer.width, outer, ops), outer});
    } else if (IsBinary(node.op)) {
      const int width = std::min(operand(node.left).width, operand(node.right).width);
      const auto cut = [&](const Step& step) {
        return step.width == width ? step.value : ops.Crop(name, step.value, width);
      };
      const Value left = cut(operand(node.left)), right = cut(operand(node.right));
      steps.push_back({BinaryOf(node.op).form(name, left, right, ops), width});
    } else {
      steps.push_back({UnaryOf(node.op).form(name, operand(node.left).value, ops), operand(node.left).width});
    }
  }
  return steps.back().value;
}

void Resolve(const ResolvedArchitecture& shape, const std::string& where, LayerShape* layer) {
  const int outer = shape.block_width();
  const std::string& text = layer->ffn.expression();
  layer->expression = Expression::Parse(text, where + ".expression");
  const std::string problem = layer->expression.WhyWidthsFail(outer, layer->width);
  if (!problem.empty())
    throw BadRequest(where + ".expression", problem, text,
                     std::string("an expression that fits ") +
                         (shape.bottleneck > 0 ? "bottleneck " : "hidden ") + std::to_string(outer) +
                         " and inner width " + std::to_string(layer->width));
}

std::vector<Operator> Operators(const LayerShape& layer) {
  std::vector<Operator> operators;
  for (const Node& node : layer.expression.nodes())
    if (IsUnary(node.op) || IsBinary(node.op)) operators.push_back(node.op);
  return operators;
}

constexpr char kPython[] = R"py(class Expression(Block):
    def __init__(self, config, spec, width, linear=nn.Linear):
        super().__init__(config)
        self.expression = parse(spec)
        outer = block_width(config)
        self.up, self.down = linear(outer, width), linear(width, outer)

    def value(self, x):
        return self.evaluate(self.expression, x)

    def evaluate(self, node, x):
        if node[0] == "x":
            return x
        if node[0] == "linear":
            return (self.up if node[2] == "wb1" else self.down)(self.evaluate(node[1], x))
        operands = [self.evaluate(operand, x) for operand in node[1:]]
        width = min(operand.shape[-1] for operand in operands)  # the wider operand is cut
        return OPERATORS[node[0]](*(operand[..., :width] for operand in operands))


def parse(text):
    """Nested tuples: ("x",), ("linear", operand, "wb1"), ("gelu", operand), ("add", left, right)."""
    tokens = re.findall(r"\w+|[(),]", text)

    def read():
        name = tokens.pop(0)
        if name in ("x", "wb1", "wb2"):
            return (name,) if name == "x" else name
        operands = []
        while tokens.pop(0) != ")":  # "(" or ","
            operands.append(read())
        return (name, *operands)

    return read()
)py";

}  // namespace

FeedForwardEntry expression() {
  return {.run = Run,
          .resolve = Resolve,
          .text = [](const LayerShape& layer) { return layer.expression.ToString(); },
          .python = kPython,
          .operators = Operators};
}

}  // namespace thimble::models::feed_forwards
