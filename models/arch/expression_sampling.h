// Random valid expressions and small changes of them, for searches. Trees are built by production rules that
// keep to the validity and width rules from the start, where the published search draws typed trees and
// throws away nearly all of them (EfficientBERT's code). Not stateful: results depend on the arguments and
// the random stream alone.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "models/arch/expression.h"

namespace thimble::models {

struct BlockWidths {
  int hidden = 0, inner = 0;
};

struct ExpressionRules {
  std::vector<Operator> unary, binary;  // that may occur, beside the two linears and x
  int min_height = 3, max_height = 7;   // in edges
  std::vector<BlockWidths> widths;      // an expression fits all of them, or is not proposed
};

// EfficientBERT's operators and heights (section 3.1 and its code).
ExpressionRules PublishedRules(std::vector<BlockWidths> widths);

class ExpressionSampler {
 public:
  explicit ExpressionSampler(ExpressionRules rules);

  bool empty() const { return heights_.empty(); }              // no expression keeps to the rules
  std::string WhyOutside(const Expression& expression) const;  // empty if the expression keeps to the rules

  // A tree of a height drawn uniformly from those that have a tree; every tree that keeps to the rules can
  // come out. Side branches are short ones mostly. Requires !empty().
  Expression Draw(Random* random) const;

  // One change: a subtree replaced by a low random one, an operator by another, or an operator inserted
  // (EfficientBERT's mutations). The result keeps to the rules and differs from `from` in canonical form;
  // nullopt if 200 tries gave none.
  std::optional<Expression> Mutate(const Expression& from, Random* random) const;
  // What a search proposes that knows `base` only: a fresh tree or one to three mutations of `base`, half and
  // half.
  Expression Propose(const Expression& base, Random* random) const;
  // `a` with a subtree of `b` in place of one of its own; otherwise as Mutate, and different from both.
  std::optional<Expression> Cross(const Expression& a, const Expression& b, Random* random) const;

 private:
  using Postfix = std::vector<Operator>;  // a tree in post-order; arities make it unambiguous
  enum Kind { kLeaf, kActivation, kLinear, kElementwise, kKinds };
  struct State {
    int height, width, linears;
  };
  struct Split {
    State left, right;
    double weight;
  };

  struct Trees {
    std::array<double, kKinds> by_kind{};  // how many, capped
    std::vector<Split> splits;             // operands of an element-wise root
  };

  int Narrower(int a, int b) const { return a == b ? a : min_class_; }
  Trees& At(const State& state) { return trees_[state.height][state.width][state.linears]; }
  const Trees& At(const State& state) const { return trees_[state.height][state.width][state.linears]; }
  double Total(const State& state, int except = kKinds) const;
  std::optional<State> LinearInput(const State& state) const;
  void Fill(const State& state);
  void Generate(const State& state, int except, Random* random, Postfix* out) const;
  std::vector<State> States(const Postfix& tree) const;
  std::optional<Postfix> ReplaceSubtree(const Postfix& tree, Random* random) const;
  std::optional<Postfix> ReplaceOperator(const Postfix& tree, Random* random) const;
  std::optional<Postfix> Insert(const Postfix& tree, Random* random) const;

  ExpressionRules rules_;
  // Classes of width: 0 hidden, then inner and the narrower of both where they differ from those before in
  // some pair.
  int inner_class_ = 0, min_class_ = 0;
  // Counts by height, width class and the linears inside (bit 0: wb1, bit 1: wb2).
  std::vector<std::array<std::array<Trees, 4>, 3>> trees_;
  std::vector<int> heights_;  // between the bounds, with at least one whole expression
};

}  // namespace thimble::models
