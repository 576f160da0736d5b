// Which of two functions of a channel is nowhere above the other.
#include "models/arch/channel_algebra.h"

namespace thimble::models {

bool ChannelAlgebra::Below(Sum a, Sum b) {
  if (a == b) return true;
  const bool products = sums_.Size(a) == 1 && sums_.Size(b) == 1;
  if (products) {
    const int left = MonomialSign(sums_.Item(a, 0)), right = MonomialSign(sums_.Item(b, 0));
    if (left < 0 && right > 0) return true;
    if (left > 0 && right < 0) return false;
  }
  const Atom low = Only(a), high = Only(b);
  // t <= elu(t); t <= tanh(t) for t <= 0; tanh(t) <= t for t >= 0; tanh(t) <= elu(t).
  if (high >= 0 && (KindOf(high) == kElu || (KindOf(high) == kTanh && SignOf(high) < 0)) &&
      Below(a, Argument(high)))
    return true;
  if (low >= 0 && KindOf(low) == kTanh) {
    if (SignOf(low) > 0 && Below(Argument(low), b)) return true;
    if (high >= 0 && KindOf(high) == kElu && Below(Argument(low), Argument(high))) return true;
  }
  if (low >= 0 && high >= 0 && MonotoneBelow(low, high)) return true;
  if (products) {
    const Monomial left = sums_.Item(a, 0), right = sums_.Item(b, 0);
    const int sign = MonomialSign(left);
    if (sign == 0 || MonomialSign(right) != sign) return false;
    return sign > 0 ? Smaller(monomials_[left], monomials_[right])
                    : Smaller(monomials_[right], monomials_[left]);
  }
  // b - a: what it adds must cover what it takes away.
  const ShortList left = Difference(sums_[a], sums_[b]), right = Difference(sums_[b], sums_[a]);
  ShortList adds, takes, unknown_left, unknown_right;
  for (const Monomial monomial : left) {
    const int sign = MonomialSign(monomial);
    (sign > 0 ? takes : sign < 0 ? adds : unknown_left).Push(monomial);
  }
  for (const Monomial monomial : right) {
    const int sign = MonomialSign(monomial);
    (sign > 0 ? adds : sign < 0 ? takes : unknown_right).Push(monomial);
  }
  if (unknown_left.size != unknown_right.size || unknown_left.size > 1) return false;
  if (unknown_left.size == 1) {
    const List one = monomials_[unknown_left.items[0]], other = monomials_[unknown_right.items[0]];
    if (one.size() != 1 || other.size() != 1 || !MonotoneBelow(one[0], other[0])) return false;
  }
  return Covers(adds, takes);
}

// Each of the small monomials is given a large one of its own that is no smaller, in absolute value. Two that
// are at most half of it may share one, and two that are at least half as large do for one.
bool ChannelAlgebra::Covers(ShortList large, ShortList small) {
  ShortList halves;  // what is left of each large one
  for (int i = 0; i < large.size; ++i) halves.Push(2);
  for (const Monomial monomial : small) {
    const List factors = monomials_[monomial];
    int uncovered = 2;
    for (int i = 0; i < large.size && uncovered == 2; ++i) {
      if (halves.items[i] == 0) continue;
      const List other = monomials_[large.items[i]];
      for (const Atom& factor : factors)
        if (small.size > 1 && uncovered == 2 && IsHalf(factor, false)) {
          ShortList rest = factors;
          rest.Erase(rest.begin() + (&factor - factors.data()));
          if (Smaller(rest, other)) {
            --halves.items[i];
            uncovered = 0;
          }
        }
      if (uncovered == 2 && halves.items[i] == 2 && Smaller(factors, other)) halves.items[i] = uncovered = 0;
    }
    for (int i = 0; i < large.size && large.size > 1 && uncovered > 0; ++i) {
      if (halves.items[i] < 2) continue;
      const List other = monomials_[large.items[i]];
      for (const Atom& factor : other)
        if (IsHalf(factor, true)) {
          ShortList rest = other;
          rest.Erase(rest.begin() + (&factor - other.data()));
          if (Smaller(factors, rest)) {
            halves.items[i] = 0;
            --uncovered;
            break;
          }
        }
    }
    if (uncovered > 0) return false;
  }
  return true;
}

bool ChannelAlgebra::AnyAbove(List sums, Sum sum, Sum except) {
  return std::any_of(sums.begin(), sums.end(),
                     [&](Sum other) { return other != except && Below(sum, other); });
}

// a <= max(b, s), where s is what a and b have in common and one of the sums is above it.
bool ChannelAlgebra::BelowRectified(Sum a, Sum b, List sums) {
  const ShortList common = Intersection(sums_[a], sums_[b]);
  if (common.size == 0) return BelowRectified(a, b) && AnyAbove(sums, kZero, a);
  const Sum left = sums_.Find(Difference(sums_[a], common)), right = sums_.Find(Difference(sums_[b], common));
  return BelowRectified(left, right) && AnyAbove(sums, sums_.Find(common), a);
}

// a is tanh(b), or b times numbers between 0 and 1.
bool ChannelAlgebra::BelowRectified(Sum a, Sum b) {
  if (a == kZero || b == kZero) return false;
  if (const Atom atom = Only(a); atom >= 0 && KindOf(atom) == kTanh && Below(Argument(atom), b)) return true;
  const List monomials = sums_[a];
  ShortList shrinking;
  for (const Atom factor : Difference(monomials_[monomials[0]], monomials_[sums_.Item(b, 0)]))
    if (IsUnit(factor) && SignOf(factor) > 0) shrinking.Push(factor);
  for (const Monomial monomial : monomials) shrinking = Intersection(shrinking, monomials_[monomial]);
  if (shrinking.size == 0) return false;
  ShortList rest;
  for (const Monomial monomial : monomials)
    rest.Push(monomials_.Find(Difference(monomials_[monomial], shrinking)));
  std::sort(rest.begin(), rest.end());
  const Sum sum = sums_.Find(rest);
  return Below(sum, b) || BelowRectified(sum, b);
}

bool ChannelAlgebra::MonotoneBelow(Atom a, Atom b) {
  const Kind kind = KindOf(a);
  return kind == KindOf(b) && (kind == kSigmoid || kind == kTanh || kind == kElu) &&
         Below(Argument(a), Argument(b));
}

bool ChannelAlgebra::Smaller(List a, List b) {
  if (SmallerFactors(a, b)) return true;
  const auto tame = [this](Atom atom) { return KindOf(atom) != kTanh && KindOf(atom) != kElu; };
  if (std::all_of(a.begin(), a.end(), tame) && std::all_of(b.begin(), b.end(), tame)) return false;
  return SmallerFactors(WithGates(a), WithGates(b)) || SmallerFactors(WithRoots(a), b);
}

// Every factor of b has one of a that is no larger, and what is left of a is at most 1.
bool ChannelAlgebra::SmallerFactors(List a, List b) {
  ShortList left = Difference(a, b);
  for (const Atom factor : Difference(b, a)) {
    const int* at =
        std::find_if(left.begin(), left.end(), [&](Atom other) { return SmallerFactor(other, factor); });
    if (at == left.end()) return false;
    // gelu(t) >= -sigmoid(t).
    if (KindOf(*at) == kGeluGate && KindOf(factor) == kSigmoid && EraseProduct(*at, &left)) continue;
    left.Erase(at);
  }
  // Where t <= 0, gelu(t) and swish(t) are no less than -1.
  for (int i = 0; i < left.size; ++i)
    if (IsHalf(left.items[i], false) && EraseProduct(left.items[i], &left)) i = -1;
  return std::all_of(left.begin(), left.end(), [this](Atom atom) { return IsUnit(atom); });
}

// Takes a gate and its argument out, if both are there.
bool ChannelAlgebra::EraseProduct(Atom gate, ShortList* factors) {
  const Value argument = ArgumentOf(gate);
  if (argument < 0 || values_.Size(argument) > 1 || sums_.Size(values_.Item(argument, 0)) != 1) return false;
  ShortList product = monomials_[sums_.Item(values_.Item(argument, 0), 0)];
  product.Push(gate);
  std::sort(product.begin(), product.end());
  const ShortList rest = Difference(*factors, product);
  if (rest.size + product.size > factors->size) return false;
  *factors = rest;
  return true;
}

bool ChannelAlgebra::SmallerFactor(Atom a, Atom b) {
  const Kind low = KindOf(a), high = KindOf(b);
  if (low == high && low >= kSigmoid && low != kMaximum) {
    if (IsGate(a) && low != kSigmoid) return false;
    return SignOf(a) > 0 ? MonotoneBelow(a, b) : SignOf(a) < 0 && MonotoneBelow(b, a);
  }
  if (low == kHundredth) return IsHalf(b, true);
  if (low < kHundredth || ArgumentOf(a) != ArgumentOf(b)) return false;
  const int sign = ValueSign(ArgumentOf(a));
  // For t <= 0: gelu(t)/t <= sigmoid(t) <= elu(t)/t <= tanh(t)/t; else sigmoid(t), tanh(t) <= gelu(t)/t.
  if (sign < 0) return IsGate(a) && IsGate(b) && low < high && high != kGeluErfGate;
  return sign > 0 && (low == kSigmoid || low == kTanh) && (high == kGeluGate || high == kGeluErfGate);
}

// tanh(t) and elu(t) as t times a gate.
ShortList ChannelAlgebra::WithGates(List factors) {
  ShortList result;
  for (const Atom atom : factors) {
    const bool opens = KindOf(atom) == kTanh || (KindOf(atom) == kElu && SignOf(atom) < 0);
    if (!opens || sums_.Size(Argument(atom)) != 1) {
      result.Push(atom);
      continue;
    }
    const List argument = monomials_[sums_.Item(Argument(atom), 0)];
    if (result.size + argument.size() + factors.size() > ShortList::kCapacity) return factors;
    for (const Atom factor : argument) result.Push(factor);
    result.Push(MakeAtom(KindOf(atom) == kTanh ? kTanhGate : kEluGate, ArgumentOf(atom)));
  }
  std::sort(result.begin(), result.end());
  return result;
}

// |tanh(t)| <= |s| if t is a power of s times what is at most 1.
ShortList ChannelAlgebra::WithRoots(List factors) {
  ShortList result;
  for (const Atom atom : factors) {
    Atom root = atom;
    if (KindOf(atom) == kTanh && sums_.Size(Argument(atom)) == 1) {
      ShortList powers;
      for (const Atom factor : monomials_[sums_.Item(Argument(atom), 0)])
        if (!IsUnit(factor)) powers.Push(factor);
      if (powers.size > 0 && powers.items[0] == powers.items[powers.size - 1]) root = powers.items[0];
    }
    result.Push(root);
  }
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace thimble::models
