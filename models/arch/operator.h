// The operators of feed-forward expressions: x, the two linears, and a catalogue of what works element by
// element, one file of models/operators/ and one line of its list each. An operator is said in the words of
// encoder/ops.h; forward passes, costs and ONNX follow from that. docs/adding.md adds one, step by step.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace thimble::models {

class ChannelAlgebra;
class Ops;
class Value;

enum class Operator : uint8_t {
  kInput,    // x: the block's input, hidden wide
  kLinear1,  // linear(t,wb1): hidden -> inner
  kLinear2,  // linear(t,wb2): inner -> hidden
#define UNARY(id, name) id,
#define BINARY(id, name) id,
#include "models/operators/operators.inc"
#undef UNARY
#undef BINARY
};

// An operator of one operand: an activation. The list gives the name.
struct UnaryOperator {
  double (*value)(double x) = nullptr;
  // `name`: a step's, of each word that it takes.
  Value (*form)(std::string_view name, const Value& x, Ops& ops) = nullptr;
  // For canonical forms, numbers being ChannelAlgebra::Value. nullptr: nothing is known of it but that it is
  // a function, so that forms are sound but tell fewer equal expressions.
  int (*algebra)(ChannelAlgebra& algebra, int x) = nullptr;
  const char* python = "";  // what is called in modeling_thimble.py, which has torch and functional
};

// An operator of two operands, which are as wide.
struct BinaryOperator {
  double (*value)(double a, double b) = nullptr;
  Value (*form)(std::string_view name, const Value& a, const Value& b, Ops& ops) = nullptr;
  int (*algebra)(ChannelAlgebra& algebra, int a, int b) = nullptr;
  const char* python = "";
};

const std::vector<Operator>& Catalogue();  // in the list's order
const UnaryOperator& UnaryOf(Operator op);
const BinaryOperator& BinaryOf(Operator op);

bool IsUnary(Operator op);
bool IsBinary(Operator op);
bool IsLinear(Operator op);
// As spelt in an expression; both linears are "linear", kInput is "x".
std::string_view OperatorName(Operator op);
std::string_view OperatorPython(Operator op);                  // of the catalogue
std::optional<Operator> OperatorNamed(std::string_view name);  // likewise

}  // namespace thimble::models
