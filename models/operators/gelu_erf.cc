// The exact form, as BERT: 0.5 x (1 + erf(x / sqrt(2))). For teachers and plain BERT students, not proposed
// by a search.
#include <cmath>

#include "models/arch/channel_algebra.h"
#include "models/arch/operator.h"
#include "models/encoder/ops.h"

namespace thimble::models::operators {
namespace {

double Compute(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2))); }

Value Say(std::string_view name, const Value& x, Ops& ops) { return ops.Apply(name, Function::kGeluErf, x); }

int Algebra(ChannelAlgebra& algebra, int x) { return algebra.Gated(ChannelAlgebra::kGeluErfGate, x); }

}  // namespace

UnaryOperator gelu_erf() {
  return {.value = Compute, .form = Say, .algebra = Algebra, .python = "functional.gelu"};
}

}  // namespace thimble::models::operators
