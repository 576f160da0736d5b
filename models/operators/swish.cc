// x sigmoid(x). Ramachandran et al., 2017.
#include <cmath>

#include "models/arch/channel_algebra.h"
#include "models/arch/operator.h"
#include "models/encoder/ops.h"

namespace thimble::models::operators {
namespace {

double Compute(double x) { return x / (1 + std::exp(-x)); }

Value Say(std::string_view name, const Value& x, Ops& ops) { return ops.Apply(name, Function::kSwish, x); }

int Algebra(ChannelAlgebra& algebra, int x) { return algebra.Gated(ChannelAlgebra::kSigmoid, x); }

}  // namespace

UnaryOperator swish() {
  return {.value = Compute, .form = Say, .algebra = Algebra, .python = "functional.silu"};
}

}  // namespace thimble::models::operators
