#include "models/arch/channel_algebra.h"
#include "models/arch/operator.h"
#include "models/encoder/ops.h"

namespace thimble::models::operators {
namespace {

double Compute(double a, double b) { return a + b; }

Value Say(std::string_view name, const Value& a, const Value& b, Ops& ops) {
  return ops.Combine(name, Combination::kAdd, a, b);
}

int Algebra(ChannelAlgebra& algebra, int a, int b) { return algebra.Add(a, b); }

}  // namespace

BinaryOperator add() { return {.value = Compute, .form = Say, .algebra = Algebra, .python = "torch.add"}; }

}  // namespace thimble::models::operators
