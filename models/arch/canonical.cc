#include "models/arch/canonical.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "models/arch/channel_algebra.h"

namespace thimble::models {
namespace {

// As the algebra's text names them, by Operator.
constexpr std::array<std::string_view, 3> kLeaves = {"x", "wb1", "wb2"};

// The nodes from the input of a linear, or from the root, down to x and the next linears.
class Segment {
 public:
  Segment(const std::vector<Node>& nodes, int root, ChannelAlgebra* algebra)
      : nodes_(nodes), root_(root), algebra_(algebra) {}

  void AppendForm(std::string* form) const {
    Values values;
    std::array<int, kLeaves.size()> signs;
    FindValues(0, 0, &signs, &values);
    AppendTree(values.data(), 0, form);
  }

 private:
  // By signs, positive ones as set bits: of x in bit 2, wb1 in bit 1, wb2 in bit 0.
  using Values = std::array<ChannelAlgebra::Value, 1 << kLeaves.size()>;

  ChannelAlgebra::Value Evaluate(int at) const {
    const Node& node = nodes_[at];
    if (node.left < 0 || IsLinear(node.op)) return algebra_->Leaf(node.op);
    const auto left = Evaluate(node.left);
    return node.right < 0 ? algebra_->Of(node.op, left) : algebra_->Of(node.op, left, Evaluate(node.right));
  }

  static size_t Half(size_t leaf) { return Values().size() / 2 >> leaf; }

  // Returns the leaves whose signs matter.
  ChannelAlgebra::Leaves FindValues(size_t leaf, size_t at, std::array<int, 3>* signs, Values* values) const {
    if (leaf == kLeaves.size()) {
      algebra_->SetSigns(*signs);
      (*values)[at] = Evaluate(root_);
      return algebra_->asked();
    }
    (*signs)[leaf] = -1;
    auto asked = FindValues(leaf + 1, at, signs, values);
    (*signs)[leaf] = 1;
    if (asked[leaf])
      asked |= FindValues(leaf + 1, at + Half(leaf), signs, values);
    else
      std::copy_n(values->begin() + at, Half(leaf), values->begin() + at + Half(leaf));
    return asked;
  }

  // Decisions by sign, without those that change nothing.
  void AppendTree(const ChannelAlgebra::Value* values, size_t leaf, std::string* form) const {
    if (leaf == kLeaves.size()) {
      algebra_->AppendText(*values, form);
      return;
    }
    const auto* positive = values + Half(leaf);
    if (std::equal(values, positive, positive)) {
      AppendTree(values, leaf + 1, form);
      return;
    }
    ((*form += '{') += kLeaves[leaf]) += "<0:";
    AppendTree(values, leaf + 1, form);
    *form += '|';
    AppendTree(positive, leaf + 1, form);
    *form += '}';
  }

  const std::vector<Node>& nodes_;
  const int root_;
  ChannelAlgebra* const algebra_;
};

// One channel for one x, with curves in the place of the linears: equal forms are equal whatever these are.
double Probe(const std::vector<Node>& nodes, int at, double x) {
  const Node& node = nodes[at];
  if (node.op == Operator::kInput) return x;
  const double left = Probe(nodes, node.left, x);
  if (node.op == Operator::kLinear1) return 0.23 - 0.91 * left;
  if (node.op == Operator::kLinear2) return 1.13 * left - 0.57;
  return node.right < 0 ? UnaryOf(node.op).value(left)
                        : BinaryOf(node.op).value(left, Probe(nodes, node.right, x));
}

}  // namespace

bool SameForm(const std::vector<Node>& a, const std::vector<Node>& b) {
  constexpr double kRounding = 1e-6;  // far above that of double precision
  for (const double x : {-1.37, 0.83}) {
    const double one = Probe(a, static_cast<int>(a.size()) - 1, x),
                 other = Probe(b, static_cast<int>(b.size()) - 1, x);
    if (std::abs(one - other) > kRounding * (1 + std::abs(one) + std::abs(other))) return false;
  }
  return CanonicalForm(a) == CanonicalForm(b);
}

std::string CanonicalForm(const std::vector<Node>& nodes) {
  ChannelAlgebra algebra;
  std::string form;
  Segment(nodes, static_cast<int>(nodes.size()) - 1, &algebra).AppendForm(&form);
  for (const Operator op : {Operator::kLinear2, Operator::kLinear1}) {
    const std::string_view name = kLeaves[static_cast<size_t>(op)];
    // A linear that is not named has no influence; a hash may hide its name.
    if (form.find(name) == std::string::npos && form.find('#') == std::string::npos) continue;
    for (const Node& node : nodes) {
      if (node.op != op) continue;
      ((form += ';') += name) += '(';
      Segment(nodes, node.left, &algebra).AppendForm(&form);
      form += ')';
    }
  }
  return form;
}

}  // namespace thimble::models
