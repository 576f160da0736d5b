#include <cmath>

#include "models/arch/channel_algebra.h"
#include "models/arch/operator.h"
#include "models/encoder/ops.h"

namespace thimble::models::operators {
namespace {

double Compute(double x) { return 1 / (1 + std::exp(-x)); }

Value Say(std::string_view name, const Value& x, Ops& ops) { return ops.Apply(name, Function::kSigmoid, x); }

int Algebra(ChannelAlgebra& algebra, int x) { return algebra.Each(ChannelAlgebra::kSigmoid, x); }

}  // namespace

UnaryOperator sigmoid() {
  return {.value = Compute, .form = Say, .algebra = Algebra, .python = "torch.sigmoid"};
}

}  // namespace thimble::models::operators
