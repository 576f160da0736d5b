#include <algorithm>

#include "models/arch/channel_algebra.h"
#include "models/arch/operator.h"
#include "models/encoder/ops.h"

namespace thimble::models::operators {
namespace {

double Compute(double x) { return std::max(x, 0.0); }

Value Say(std::string_view name, const Value& x, Ops& ops) { return ops.Apply(name, Function::kRelu, x); }

int Algebra(ChannelAlgebra& algebra, int x) { return algebra.Rectified(x, algebra.Zero()); }

}  // namespace

UnaryOperator relu() {
  return {.value = Compute, .form = Say, .algebra = Algebra, .python = "functional.relu"};
}

}  // namespace thimble::models::operators
