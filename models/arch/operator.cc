#include "models/arch/operator.h"

#include <array>
#include <string>

#include "base/error.h"

namespace thimble::models {

#define UNARY(id, name) UnaryOperator name();
#define BINARY(id, name) BinaryOperator name();
namespace operators {
#include "models/operators/operators.inc"
}
#undef UNARY
#undef BINARY

namespace {

// By number.
constexpr std::string_view kNames[] = {
    "x",
    "linear",
    "linear",
#define UNARY(id, name) #name,
#define BINARY(id, name) #name,
#include "models/operators/operators.inc"
#undef UNARY
#undef BINARY
};
constexpr size_t kCount = std::size(kNames);
constexpr int kLeaf = 0;
constexpr std::array<int, kCount> kOperands = {
    kLeaf,
    kLeaf,
    kLeaf,
#define UNARY(id, name) 1,
#define BINARY(id, name) 2,
#include "models/operators/operators.inc"
#undef UNARY
#undef BINARY
};

}  // namespace

const std::vector<Operator>& Catalogue() {
  static const std::vector<Operator> all = {
#define UNARY(id, name) Operator::id,
#define BINARY(id, name) Operator::id,
#include "models/operators/operators.inc"
#undef UNARY
#undef BINARY
  };
  return all;
}

const UnaryOperator& UnaryOf(Operator op) {
  static const std::array<UnaryOperator, kCount> entries = {
      UnaryOperator(),
      UnaryOperator(),
      UnaryOperator(),
#define UNARY(id, name) operators::name(),
#define BINARY(id, name) UnaryOperator(),
#include "models/operators/operators.inc"
#undef UNARY
#undef BINARY
  };
  THIMBLE_CHECK(IsUnary(op), std::string(OperatorName(op)));
  return entries[static_cast<size_t>(op)];
}

const BinaryOperator& BinaryOf(Operator op) {
  static const std::array<BinaryOperator, kCount> entries = {
      BinaryOperator(),
      BinaryOperator(),
      BinaryOperator(),
#define UNARY(id, name) BinaryOperator(),
#define BINARY(id, name) operators::name(),
#include "models/operators/operators.inc"
#undef UNARY
#undef BINARY
  };
  THIMBLE_CHECK(IsBinary(op), std::string(OperatorName(op)));
  return entries[static_cast<size_t>(op)];
}

bool IsUnary(Operator op) { return kOperands[static_cast<size_t>(op)] == 1; }
bool IsBinary(Operator op) { return kOperands[static_cast<size_t>(op)] == 2; }
bool IsLinear(Operator op) { return op == Operator::kLinear1 || op == Operator::kLinear2; }
std::string_view OperatorName(Operator op) { return kNames[static_cast<size_t>(op)]; }

std::string_view OperatorPython(Operator op) {
  return IsUnary(op) ? UnaryOf(op).python : BinaryOf(op).python;
}

std::optional<Operator> OperatorNamed(std::string_view name) {
  for (const Operator op : Catalogue())
    if (OperatorName(op) == name) return op;
  return std::nullopt;
}

}  // namespace thimble::models
