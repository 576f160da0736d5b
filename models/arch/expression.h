// The expression a feed-forward block computes: a tree over x, two linears, activations and element-wise
// operators. Grammar, validity rules and width rules: EfficientBERT (EMNLP Findings 2021),
// docs/expressions.md.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "models/arch/operator.h"

namespace thimble::models {

struct Node {
  Operator op;
  int left = -1, right = -1;  // indices into Expression::nodes(); -1: none
};

// The tallest expression a text may hold: what a search may ask for at most (ExpressionSpace.max_height).
inline constexpr int kTallestExpression = 12;

// Immutable. Nodes are in post-order: children stand before their parent, the root is last.
class Expression {
 public:
  // Reads "linear(gelu(linear(x,wb1)),wb2)"; spaces are ignored. Error (with `where` and the column) if the
  // text is no tree or breaks a validity rule; heights from 3 to kTallestExpression are read.
  static Expression Parse(std::string_view text, const std::string& where = "expression");
  // From nodes in post-order, unchecked: WhyInvalid tells.
  static Expression FromNodes(std::vector<Node> nodes);

  const std::vector<Node>& nodes() const { return nodes_; }
  std::string ToString() const;
  int Height() const;  // in edges; "linear(x,wb1)" has height 1 (its weight terminal counts as a child)

  // Equal for equal functions, but for a few rare cases (docs/expressions.md, "Canonical form"). Made by
  // algebra: no number is ever computed.
  // An identity, not something to build.
  std::string Canonical() const;

  // Empty if the rules hold, else the first broken rule in words. Height bounds are the published ones by
  // default.
  std::string WhyInvalid(int min_height = 3, int max_height = 7) const;
  // Empty if the tree evaluates to `hidden` channels from `hidden` channels with an inner width of `inner`,
  // where add, mul and max cut both operands to the narrower one; else the reason with both widths.
  std::string WhyWidthsFail(int hidden, int inner) const;

 private:
  std::vector<Node> nodes_;
};

}  // namespace thimble::models
