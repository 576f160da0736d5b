// The identity of the function that an expression computes: docs/expressions.md, "Canonical form".
#pragma once
#include <string>
#include <vector>

#include "models/arch/expression.h"

namespace thimble::models {

// Requires a tree in post-order. Found by algebra alone: no number is ever computed. Widths are left out:
// where two expressions fit a block (WhyWidthsFail), each of their channels is computed from the same channel
// of x and of the linears' outputs, so that equal forms are equal functions however operands are cut.
std::string CanonicalForm(const std::vector<Node>& nodes);

// Whether two trees have one canonical form. Most that differ are told apart by what they compute for two
// numbers, which takes a small part of the time of two forms.
bool SameForm(const std::vector<Node>& a, const std::vector<Node>& b);

}  // namespace thimble::models
