// Hidden linears in a row: down(a(hidden(a(up(x))))). Tuli et al., JAIR 2023 (FlexiBERT), whose "stacks" they
// are; one residual and norm around all, unlike the stacked blocks of EfficientBERT.
#include "base/error.h"
#include "models/arch/operator.h"
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::feed_forwards {
namespace {

Operator Activation(const LayerShape& layer) {
  const auto found = OperatorNamed(proto::Mlp::Activation_Name(layer.ffn.mlp().activation()));
  THIMBLE_CHECK(found.has_value(), "Mlp.Activation names what is no operator");
  return *found;
}

Value Run(const LayerShape& layer, int outer, const Value& x, Ops& ops) {
  const auto& activation = UnaryOf(Activation(layer));
  Value state = activation.form("up", BlockLinear(layer, "up", x, outer, layer.width, ops), ops);
  for (int i = 0; i + 1 < layer.ffn.mlp().hidden_layers(); ++i) {
    const std::string name = "hidden." + std::to_string(i);
    state = activation.form(name, BlockLinear(layer, name, state, layer.width, layer.width, ops), ops);
  }
  return BlockLinear(layer, "down", state, layer.width, outer, ops);
}

constexpr char kPython[] = R"py(class Mlp(Block):
    def __init__(self, config, spec, width, linear=nn.Linear):
        super().__init__(config)
        outer = block_width(config)
        self.up, self.down = linear(outer, width), linear(width, outer)
        self.hidden = nn.ModuleList(linear(width, width) for _ in range(spec["hidden_layers"] - 1))
        self.activation = OPERATORS[spec["activation"]]

    def value(self, x):
        x = self.activation(self.up(x))
        for hidden in self.hidden:
            x = self.activation(hidden(x))
        return self.down(x)
)py";

}  // namespace

FeedForwardEntry mlp() {
  return {.run = Run, .python = kPython, .operators = [](const LayerShape& layer) {
            return std::vector<Operator>{Activation(layer)};
          }};
}

}  // namespace thimble::models::feed_forwards
