#include <algorithm>

#include "models/arch/channel_algebra.h"
#include "models/arch/operator.h"
#include "models/encoder/ops.h"

namespace thimble::models::operators {
namespace {

double Compute(double a, double b) { return std::max(a, b); }

Value Say(std::string_view name, const Value& a, const Value& b, Ops& ops) {
  return ops.Combine(name, Combination::kMax, a, b);
}

int Algebra(ChannelAlgebra& algebra, int a, int b) { return algebra.Max(a, b); }

}  // namespace

BinaryOperator max() {
  return {.value = Compute, .form = Say, .algebra = Algebra, .python = "torch.maximum"};
}

}  // namespace thimble::models::operators
