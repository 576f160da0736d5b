// Gated linear units: down(a(up(x)) * gate(x)); GEGLU with gelu, SwiGLU with swish. Shazeer, 2020 (GLU
// variants improve Transformer), equation 6. A new gate is 1 whatever it reads: the block starts as one
// without a gate.
#include "base/error.h"
#include "models/arch/operator.h"
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::feed_forwards {
namespace {

Operator Activation(const LayerShape& layer) {
  const auto found = OperatorNamed(proto::Glu::Activation_Name(layer.ffn.glu().activation()));
  THIMBLE_CHECK(found.has_value(), "Glu.Activation names what is no operator");
  return *found;
}

Value Run(const LayerShape& layer, int outer, const Value& x, Ops& ops) {
  const Value up =
      UnaryOf(Activation(layer)).form("up", BlockLinear(layer, "up", x, outer, layer.width, ops), ops);
  const Value gate = BlockLinear(layer, "gate", x, outer, layer.width, ops, {.starts_as_one = true});
  return BlockLinear(layer, "down", ops.Combine("gate", Combination::kMul, up, gate), layer.width, outer,
                     ops);
}

constexpr char kPython[] = R"py(class Glu(Block):
    def __init__(self, config, spec, width, linear=nn.Linear):
        super().__init__(config)
        outer = block_width(config)
        self.up, self.gate, self.down = linear(outer, width), linear(outer, width), linear(width, outer)
        self.activation = OPERATORS[spec["activation"]]

    def value(self, x):
        return self.down(self.activation(self.up(x)) * self.gate(x))
)py";

}  // namespace

FeedForwardEntry glu() {
  return {.run = Run, .python = kPython, .operators = [](const LayerShape& layer) {
            return std::vector<Operator>{Activation(layer)};
          }};
}

}  // namespace thimble::models::feed_forwards
