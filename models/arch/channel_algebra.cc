#include "models/arch/channel_algebra.h"

#include <algorithm>

#include "base/error.h"

namespace thimble::models {
namespace {

// Larger products and maxima than these are kept as one atom instead of being multiplied out, so that an
// expression of any height soon has a form. The published space rarely gets there.
constexpr int kMostMonomials = 32, kHighestDegree = 32, kMostSums = 16;
static_assert(2 * kMostSums <= ShortList::kCapacity && 2 * kMostMonomials <= ShortList::kCapacity);

}  // namespace

ChannelAlgebra::ChannelAlgebra() {
  for (int kind = 0; kind < kPlainKinds; ++kind) ValueOf(MakeAtom(static_cast<Kind>(kind), -1));
  values_.Find({sums_.Find({})});
}

void ChannelAlgebra::SetSigns(const std::array<int, 3>& signs) {
  asked_.reset();
  for (ListStore* store : {&atoms_, &monomials_, &sums_, &values_}) store->ClearMarks();
  for (const Kind kind : {kInput, kLinear1, kLinear2}) atoms_.Mark(kind) = static_cast<int8_t>(signs[kind]);
  atoms_.Mark(kHundredth) = 1;
}

ChannelAlgebra::Value ChannelAlgebra::Of(Operator op, Value value) {
  const auto algebra = UnaryOf(op).algebra;
  return algebra != nullptr ? algebra(*this, value) : Opaque(op, value);
}

ChannelAlgebra::Value ChannelAlgebra::Of(Operator op, Value a, Value b) {
  const auto algebra = BinaryOf(op).algebra;
  return algebra != nullptr ? algebra(*this, a, b) : Opaque(op, a, b);
}

ChannelAlgebra::Value ChannelAlgebra::Opaque(Operator op, Value value) {
  return ValueOf(atoms_.Find({kOpaque + static_cast<int>(op), value}));
}

ChannelAlgebra::Value ChannelAlgebra::Opaque(Operator op, Value a, Value b) {
  return ValueOf(atoms_.Find({kOpaque + static_cast<int>(op), a, b}));
}

int ChannelAlgebra::SignOf(Atom atom) {
  if (KindOf(atom) <= kLinear2) asked_.set(KindOf(atom));
  int8_t sign = atoms_.Mark(atom);
  if (sign != ListStore::kUnmarked) return sign;
  sign = KindOf(atom) <= kTanhGate ? 1
         : KindOf(atom) >= kOpaque ? 0
                                   : static_cast<int8_t>(ValueSign(ArgumentOf(atom)));
  return atoms_.Mark(atom) = sign;
}

bool ChannelAlgebra::IsUnit(Atom atom) {
  const Kind kind = KindOf(atom);
  return IsGate(atom) || kind == kHundredth || kind == kTanh || (kind == kElu && SignOf(atom) < 0);
}

bool ChannelAlgebra::IsHalf(Atom atom, bool at_least) {
  if (KindOf(atom) == kHundredth) return !at_least;
  if (!IsGate(atom) || KindOf(atom) > kSigmoid) return false;
  return ValueSign(ArgumentOf(atom)) == (at_least ? 1 : -1);
}

ChannelAlgebra::Atom ChannelAlgebra::Only(Sum sum) const {
  if (sums_.Size(sum) != 1) return -1;
  const Monomial monomial = sums_.Item(sum, 0);
  return monomials_.Size(monomial) == 1 ? monomials_.Item(monomial, 0) : -1;
}

int ChannelAlgebra::MonomialSign(Monomial monomial) {
  if (monomials_.Mark(monomial) != ListStore::kUnmarked) return monomials_.Mark(monomial);
  int sign = 1;
  const List factors = monomials_[monomial];
  for (size_t i = 0; i < factors.size(); ++i) {
    if (i + 1 < factors.size() && factors[i] == factors[i + 1])
      ++i;  // a square
    else
      sign *= SignOf(factors[i]);
  }
  return monomials_.Mark(monomial) = static_cast<int8_t>(sign);
}

int ChannelAlgebra::SumSign(Sum sum) {
  if (sums_.Mark(sum) != ListStore::kUnmarked) return sums_.Mark(sum);
  int sign = 1;
  if (sum != kZero) {
    const List monomials = sums_[sum];
    sign = MonomialSign(monomials[0]);
    for (const Monomial monomial : monomials.subspan(1))
      if (MonomialSign(monomial) != sign) sign = 0;
    if (sign == 0 && monomials.size() > 1) sign = Below(kZero, sum) ? 1 : Below(sum, kZero) ? -1 : 0;
  }
  return sums_.Mark(sum) = static_cast<int8_t>(sign);
}

int ChannelAlgebra::ValueSign(Value value) {
  if (values_.Mark(value) != ListStore::kUnmarked) return values_.Mark(value);
  int sign = -1;
  for (const Sum sum : values_[value]) sign = std::max(sign, SumSign(sum));
  return values_.Mark(value) = static_cast<int8_t>(sign);
}

// A monotone activation of a maximum is the maximum of activations.
ChannelAlgebra::Value ChannelAlgebra::Each(Kind kind, Value value) {
  ShortList result;
  for (const Sum sum : values_[value]) {
    const bool same = kind == kElu ? SumSign(sum) > 0 : kind == kTanh && sums_.Size(sum) == 0;
    result.Push(same ? sum : SumOf(MakeAtom(kind, values_.Find({sum}))));
  }
  return Pruned(result);
}

// An activation that multiplies its argument by a gate. gelu and swish grow where the argument is positive
// and are negative where it is.
ChannelAlgebra::Value ChannelAlgebra::Gated(Kind kind, Value value) {
  if (values_.Size(value) == 1 || ValueSign(value) < 1)
    return Multiply(value, kind == kSigmoid ? Each(kind, value) : ValueOf(MakeAtom(kind, value)));
  Value result = -1;
  for (const Sum sum : values_[value]) {
    const Value element = values_.Find({sum});
    const Value gated = Multiply(element, ValueOf(MakeAtom(kind, element)));
    result = result < 0 ? gated : Max(result, gated);
  }
  return result;
}

ChannelAlgebra::Value ChannelAlgebra::Rectified(Value value, Value slope) {
  const int sign = ValueSign(value);
  if (sign > 0) return value;
  const Value negative = slope == Zero() ? slope : Multiply(value, slope);
  return sign < 0 ? negative : Max(value, negative);
}

ChannelAlgebra::Value ChannelAlgebra::Add(Value a, Value b) {
  const List left = values_[a], right = values_[b];
  int longest = 0;
  for (const Sum sum : left) longest = std::max(longest, sums_.Size(sum));
  for (const Sum sum : right)
    if (longest + sums_.Size(sum) > kMostMonomials) longest = kMostMonomials;
  if (left.size() * right.size() > kMostSums || longest == kMostMonomials) {
    ShortList pair{monomials_.Find({MakeAtom(kMaximum, a)}), monomials_.Find({MakeAtom(kMaximum, b)})};
    std::sort(pair.begin(), pair.end());
    return values_.Find({sums_.Find(pair)});
  }
  ShortList result;
  for (const Sum one : left)
    for (const Sum other : right) result.Push(sums_.Find(Merged(sums_[one], sums_[other])));
  return Pruned(result);
}

// What is never negative is multiplied into a maximum; otherwise the maximum is a factor.
ChannelAlgebra::Value ChannelAlgebra::Multiply(Value a, Value b) {
  const bool maxima = values_.Size(a) > 1 && values_.Size(b) > 1;
  if (maxima && ValueSign(a) > 0 && ValueSign(b) > 0) {
    if (b == Each(kSigmoid, a)) return Gated(kSigmoid, a);
    if (a == Each(kSigmoid, b)) return Gated(kSigmoid, b);
    return Expanded(Product(One(a), One(b)));
  }
  if (maxima ? ValueSign(a) > 0 : values_.Size(a) == 1) std::swap(a, b);
  const Sum factor = One(b);
  if (values_.Size(a) == 1 || ValueSign(b) < 1) return Expanded(Product(One(a), factor));
  Value result = -1;
  for (const Sum sum : values_[a]) {
    const Value product = Expanded(Product(sum, factor));
    result = result < 0 ? product : Max(result, product);
  }
  return result;
}

ChannelAlgebra::Value ChannelAlgebra::Max(Value a, Value b) { return Pruned(Merged(values_[a], values_[b])); }

// A value as a sum. Summands of all operands of a maximum are taken out of it.
ChannelAlgebra::Sum ChannelAlgebra::One(Value value) {
  const List sums = values_[value];
  if (sums.size() == 1) return sums[0];
  ShortList common = sums_[sums[0]];
  for (const Sum sum : sums.subspan(1)) common = Intersection(common, sums_[sum]);
  if (common.size == 0 || common.size == kMostMonomials) return SumOf(MakeAtom(kMaximum, value));
  ShortList rests;
  for (const Sum sum : sums) rests.Push(sums_.Find(Difference(sums_[sum], common)));
  std::sort(rests.begin(), rests.end());
  common.Push(monomials_.Find({MakeAtom(kMaximum, values_.Find(rests))}));
  std::sort(common.begin(), common.end());
  return sums_.Find(common);
}

ChannelAlgebra::Sum ChannelAlgebra::Product(Sum a, Sum b) {
  const List left = sums_[a], right = sums_[b];
  int degree = 0;
  for (const List* side : {&left, &right}) {
    int highest = 0;
    for (const Monomial monomial : *side) highest = std::max(highest, monomials_.Size(monomial));
    degree += highest;
  }
  if (left.size() * right.size() > kMostMonomials || degree > kHighestDegree) {
    ShortList pair{MakeAtom(kMaximum, values_.Find({a})), MakeAtom(kMaximum, values_.Find({b}))};
    std::sort(pair.begin(), pair.end());
    return sums_.Find({monomials_.Find(pair)});
  }
  ShortList product;
  for (const Monomial one : left)
    for (const Monomial other : right)
      product.Push(monomials_.Find(Merged(monomials_[one], monomials_[other])));
  std::sort(product.begin(), product.end());
  return sums_.Find(product);
}

// Products of one maximum and what is never negative become maxima.
ChannelAlgebra::Value ChannelAlgebra::Expanded(Sum sum) {
  ShortList rest;
  Value result = -1;
  for (const Monomial monomial : sums_[sum]) {
    ShortList others;
    Atom maximum = -1;
    int maxima = 0;
    for (const Atom atom : monomials_[monomial]) {
      if (KindOf(atom) == kMaximum && values_.Size(ArgumentOf(atom)) > 1 && ++maxima == 1)
        maximum = atom;
      else
        others.Push(atom);
    }
    if (maxima == 1 && MonomialSign(monomials_.Find(others)) > 0) {
      const Value factor = values_.Find({sums_.Find({monomials_.Find(others)})});
      const Value part = Multiply(ArgumentOf(maximum), factor);
      result = result < 0 ? part : Add(result, part);
    } else {
      rest.Push(monomial);
    }
  }
  if (result < 0) return values_.Find({sum});
  return rest.size == 0 ? result : Add(result, values_.Find({sums_.Find(rest)}));
}

// The maximum of the sums, without those that are nowhere the largest.
ChannelAlgebra::Value ChannelAlgebra::Pruned(ShortList sums) {
  const auto sort = [&sums] {
    std::sort(sums.begin(), sums.end());
    sums.size = static_cast<int>(std::unique(sums.begin(), sums.end()) - sums.begin());
  };
  sort();
  if (sums.size == 1) return values_.Find(sums);
  // max(elu(t) + s, s) = max(t + s, s): where elu(t) is not t both are negative.
  bool changed = false;
  for (Sum& sum : sums) {
    const List monomials = sums_[sum];
    for (const Monomial monomial : monomials) {
      if (monomials_.Size(monomial) != 1 || KindOf(monomials_.Item(monomial, 0)) != kElu) continue;
      const List argument = sums_[Argument(monomials_.Item(monomial, 0))];
      const Sum rest = sums_.Find(Difference(monomials, {&monomial, 1}));
      if (sums_.Size(rest) + argument.size() > kMostMonomials || !AnyAbove(sums, rest, sum)) continue;
      sum = sums_.Find(Merged(sums_[rest], argument));
      changed = true;
      break;
    }
  }
  if (changed) sort();
  for (int i = 0; i < sums.size;) {
    const Sum sum = sums.items[i];
    const bool below = std::any_of(sums.begin(), sums.end(), [&](Sum other) {
      return other != sum && (Below(sum, other) || BelowRectified(sum, other, sums));
    });
    if (below)
      sums.Erase(sums.begin() + i);
    else
      ++i;
  }
  const Value value = values_.Find(sums);
  return sums.size > kMostSums ? ValueOf(MakeAtom(kMaximum, value)) : value;
}

}  // namespace thimble::models
