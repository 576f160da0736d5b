// Slope 0.01 below zero.
#include <algorithm>

#include "models/arch/channel_algebra.h"
#include "models/arch/operator.h"
#include "models/encoder/ops.h"

namespace thimble::models::operators {
namespace {

double Compute(double x) { return std::max(x, 0.01 * x); }

Value Say(std::string_view name, const Value& x, Ops& ops) {
  return ops.Apply(name, Function::kLeakyRelu, x);
}

int Algebra(ChannelAlgebra& algebra, int x) { return algebra.Rectified(x, algebra.Hundredth()); }

}  // namespace

UnaryOperator leaky_relu() {
  return {.value = Compute,
          .form = Say,
          .algebra = Algebra,
          .python = "lambda x: functional.leaky_relu(x, 0.01)"};
}

}  // namespace thimble::models::operators
