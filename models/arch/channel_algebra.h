// Algebra of functions of one channel, for canonical forms: maxima of sums of products of what is not taken
// apart any further. docs/expressions.md, "Canonical form", has the identities.
#pragma once
#include <array>
#include <bitset>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/arch/expression.h"
#include "models/arch/list_store.h"

namespace thimble::models {

class ChannelAlgebra {
 public:
  // A function; equal numbers are equal functions.
  using Value = int;
  using Leaves = std::bitset<3>;  // x and the outputs of wb1 and wb2

  ChannelAlgebra();
  // The signs of the leaves: 1 is never negative, -1 never positive. What is made from now on holds under
  // these signs; a number means the same function under all of them.
  void SetSigns(const std::array<int, 3>& signs);
  Leaves asked() const { return asked_; }  // those whose signs have mattered since

  Value Leaf(Operator op) const { return static_cast<Value>(op); }  // kInput, kLinear1, kLinear2
  // Combined as the catalogue says of the operator; if it says nothing, it is opaque: equal for equal
  // operands, and no more.
  Value Of(Operator op, Value value);
  Value Of(Operator op, Value a, Value b);
  Value Opaque(Operator op, Value value);
  Value Opaque(Operator op, Value a, Value b);
  void AppendText(Value value, std::string* text);

  // --- For the catalogue ---

  // What is not taken apart. Gates are numbers from 0 to 1: an activation divided by its argument.
  enum Kind : int {
    kInput,
    kLinear1,
    kLinear2,
    kHundredth,  // the slope of leaky_relu
    kGeluGate,
    kGeluErfGate,
    kSigmoid,   // also swish's gate
    kEluGate,   // of what is not positive, for comparisons only
    kTanhGate,  // for comparisons only
    kElu,       // of what may be negative
    kTanh,
    kMaximum,  // of several, or of what is too large to be multiplied out
    kOpaque,   // and those above: an operator of which nothing is known, of its one or two arguments
  };

  Value Zero() const { return kZero; }
  Value Hundredth() const { return kHundredth; }
  Value Each(Kind kind, Value value);   // kSigmoid, kTanh or kElu of it
  Value Gated(Kind kind, Value value);  // times that gate of it, kGeluGate, kGeluErfGate or kSigmoid
  Value Rectified(Value value,
                  Value slope);  // times `slope`, which is Zero() or Hundredth(), where it is negative
  Value Add(Value a, Value b);
  Value Multiply(Value a, Value b);
  Value Max(Value a, Value b);

 private:
  static constexpr std::array<std::string_view, 12> kKindNames = {
      "x",       "wb1",      "wb2",       "0.01", "gate_gelu", "gate_gelu_erf",
      "sigmoid", "gate_elu", "gate_tanh", "elu",  "tanh",      ""};

  // Numbers in stores: of atoms {kind, arguments}; of monomials, sorted lists of atoms; of sums, sorted lists
  // of monomials, repeated ones kept; of values, sorted lists of sums that stand for the largest of them.
  using Atom = int;
  using Monomial = int;
  using Sum = int;
  using List = std::span<const int>;

  // The first numbers of all stores stand for the kinds that have no argument, the next of sums and values
  // for zero.
  static constexpr int kPlainKinds = kHundredth + 1;
  static constexpr Sum kZero = kPlainKinds;

  Kind KindOf(Atom atom) const { return static_cast<Kind>(atoms_.Item(atom, 0)); }
  Value ArgumentOf(Atom atom) const { return atoms_.Item(atom, 1); }
  Sum Argument(Atom atom) const { return values_.Item(ArgumentOf(atom), 0); }  // of monotone activations
  int SignOf(Atom atom);                                                       // 0: not known
  bool IsUnit(Atom atom);                                                      // between -1 and 1
  bool IsGate(Atom atom) const { return KindOf(atom) >= kGeluGate && KindOf(atom) <= kTanhGate; }
  bool IsHalf(Atom atom, bool at_least);  // from 1/2 to 1, or from 0 to 1/2

  Atom MakeAtom(Kind kind, Value argument) { return atoms_.Find({kind, argument}); }
  Sum SumOf(Atom atom) { return sums_.Find({monomials_.Find({atom})}); }
  Value ValueOf(Atom atom) { return values_.Find({SumOf(atom)}); }
  Atom Only(Sum sum) const;  // the atom that is the whole sum, or -1

  int MonomialSign(Monomial monomial);
  int SumSign(Sum sum);  // 1 for zero
  int ValueSign(Value value);

  const std::string& AtomText(Atom atom);

  Sum One(Value value);
  Sum Product(Sum a, Sum b);
  Value Expanded(Sum sum);
  Value Pruned(ShortList sums);

  // channel_order.cc: whether the first is nowhere above the second, as far as the rules find.
  bool Below(Sum a, Sum b);
  bool AnyAbove(List sums, Sum sum, Sum except);
  bool BelowRectified(Sum a, Sum b, List sums);
  bool BelowRectified(Sum a, Sum b);  // a <= max(b, 0)
  bool Covers(ShortList large, ShortList small);
  bool MonotoneBelow(Atom a, Atom b);
  // The same for the absolute values of products.
  bool Smaller(List a, List b);
  bool SmallerFactors(List a, List b);
  bool SmallerFactor(Atom a, Atom b);
  bool EraseProduct(Atom gate, ShortList* factors);
  ShortList WithGates(List factors);
  ShortList WithRoots(List factors);

  Leaves asked_;
  std::vector<std::string> atom_texts_;  // empty: not made yet
  ListStore atoms_, monomials_, sums_, values_;
};

}  // namespace thimble::models
