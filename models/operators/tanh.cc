#include <cmath>

#include "models/arch/channel_algebra.h"
#include "models/arch/operator.h"
#include "models/encoder/ops.h"

namespace thimble::models::operators {
namespace {

double Compute(double x) { return std::tanh(x); }

Value Say(std::string_view name, const Value& x, Ops& ops) { return ops.Apply(name, Function::kTanh, x); }

int Algebra(ChannelAlgebra& algebra, int x) { return algebra.Each(ChannelAlgebra::kTanh, x); }

}  // namespace

UnaryOperator tanh() { return {.value = Compute, .form = Say, .algebra = Algebra, .python = "torch.tanh"}; }

}  // namespace thimble::models::operators
