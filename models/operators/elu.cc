// Clevert et al., ICLR 2016, with alpha 1.
#include <cmath>

#include "models/arch/channel_algebra.h"
#include "models/arch/operator.h"
#include "models/encoder/ops.h"

namespace thimble::models::operators {
namespace {

double Compute(double x) { return x > 0 ? x : std::expm1(x); }

Value Say(std::string_view name, const Value& x, Ops& ops) { return ops.Apply(name, Function::kElu, x); }

int Algebra(ChannelAlgebra& algebra, int x) { return algebra.Each(ChannelAlgebra::kElu, x); }

}  // namespace

UnaryOperator elu() {
  return {.value = Compute, .form = Say, .algebra = Algebra, .python = "functional.elu"};
}

}  // namespace thimble::models::operators
