// The text of a function: equal for equal numbers, whatever the order in which they were made.
#include <cstdio>
#include <string_view>

#include "base/hash.h"
#include "models/arch/channel_algebra.h"

namespace thimble::models {
namespace {

// Longer texts stand in other texts as their hash.
constexpr size_t kLongestText = 400;

// Puts the last parts of a text into order, which a separator stands between.
void SortParts(std::string* text, const ShortList& starts) {
  if (starts.size < 2) return;
  const size_t first = starts.items[0];
  std::array<std::string_view, ShortList::kCapacity> parts;
  for (int i = 0; i < starts.size; ++i) {
    const size_t end = i + 1 < starts.size ? starts.items[i + 1] - 1 : text->size();
    parts[i] = std::string_view(*text).substr(starts.items[i], end - starts.items[i]);
  }
  const auto end = parts.begin() + starts.size;
  if (std::is_sorted(parts.begin(), end)) return;
  const char separator = (*text)[starts.items[1] - 1];
  std::sort(parts.begin(), end);
  std::string sorted;
  sorted.reserve(text->size() - first);
  for (auto part = parts.begin(); part != end; ++part) {
    if (part != parts.begin()) sorted += separator;
    sorted += *part;
  }
  text->replace(first, std::string::npos, sorted);
}

}  // namespace

void ChannelAlgebra::AppendText(Value value, std::string* text) {
  const auto start_part = [text](ShortList* starts, char separator) {
    if (starts->size > 0) *text += separator;
    starts->Push(static_cast<int>(text->size()));
  };
  const bool several = values_.Size(value) > 1;
  if (several) *text += "max(";
  ShortList sum_starts;
  for (const Sum sum : values_[value]) {
    start_part(&sum_starts, ',');
    if (sum == kZero) *text += '0';
    ShortList monomial_starts;
    for (const Monomial monomial : sums_[sum]) {
      start_part(&monomial_starts, '+');
      ShortList atom_starts;
      for (const Atom atom : monomials_[monomial]) {
        start_part(&atom_starts, '*');
        *text += AtomText(atom);
      }
      SortParts(text, atom_starts);
    }
    SortParts(text, monomial_starts);
  }
  SortParts(text, sum_starts);
  if (several) *text += ')';
}

const std::string& ChannelAlgebra::AtomText(Atom atom) {
  if (atom >= static_cast<int>(atom_texts_.size())) atom_texts_.resize(atoms_.Count());
  if (!atom_texts_[atom].empty()) return atom_texts_[atom];
  const bool opaque = KindOf(atom) >= kOpaque;
  std::string text(opaque ? OperatorName(static_cast<Operator>(KindOf(atom) - kOpaque))
                          : kKindNames[KindOf(atom)]);
  if (opaque) text.insert(0, "@");  // no kind's name
  if (ArgumentOf(atom) >= 0) {
    text += '(';
    const size_t start = text.size();
    AppendText(ArgumentOf(atom), &text);
    if (atoms_.Size(atom) > 2) AppendText(atoms_.Item(atom, 2), &(text += ','));
    if (text.size() > start + kLongestText) {
      char digits[18];
      std::snprintf(digits, sizeof digits, "#%016llx",
                    static_cast<unsigned long long>(Hash64(std::string_view(text).substr(start))));
      text.replace(start, std::string::npos, digits);
    }
    text += ')';
  }
  return atom_texts_[atom] = std::move(text);
}

}  // namespace thimble::models
