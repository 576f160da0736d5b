// The tanh form, as EfficientBERT: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). Hendrycks and Gimpel,
// 2016, section 2.
#include <cmath>

#include "models/arch/channel_algebra.h"
#include "models/arch/operator.h"
#include "models/encoder/ops.h"

namespace thimble::models::operators {
namespace {

double Compute(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

Value Say(std::string_view name, const Value& x, Ops& ops) { return ops.Apply(name, Function::kGelu, x); }

int Algebra(ChannelAlgebra& algebra, int x) { return algebra.Gated(ChannelAlgebra::kGeluGate, x); }

}  // namespace

UnaryOperator gelu() {
  return {.value = Compute,
          .form = Say,
          .algebra = Algebra,
          .python = "lambda x: functional.gelu(x, approximate=\"tanh\")"};
}

}  // namespace thimble::models::operators
