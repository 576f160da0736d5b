#include "models/arch/expression_sampling.h"

#include <algorithm>

#include "base/error.h"
#include "models/arch/canonical.h"

namespace thimble::models {
namespace {

constexpr double kCountCap = 1e12;
constexpr int kTries = 200;
constexpr uint64_t kMostProposedChanges = 3;
constexpr int kLowSubtree =
    3;  // EfficientBERT's code: a replacement is 0 to 3 edges high where the linears inside allow it

int Arity(Operator op) { return op == Operator::kInput ? 0 : IsBinary(op) ? 2 : 1; }

std::vector<Operator> ToPostfix(const Expression& expression) {
  std::vector<Operator> postfix;
  const auto visit = [&](const auto& self, int at) -> void {
    const Node& node = expression.nodes()[at];
    for (const int child : {node.left, node.right})
      if (child >= 0) self(self, child);
    postfix.push_back(node.op);
  };
  visit(visit, static_cast<int>(expression.nodes().size()) - 1);
  return postfix;
}

Expression FromPostfix(const std::vector<Operator>& postfix) {
  std::vector<Node> nodes;
  std::vector<int> open;
  for (const Operator op : postfix) {
    Node node{op};
    if (Arity(op) == 2) {
      node.right = open.back();
      open.pop_back();
    }
    if (Arity(op) >= 1) {
      node.left = open.back();
      open.pop_back();
    }
    open.push_back(static_cast<int>(nodes.size()));
    nodes.push_back(node);
  }
  return Expression::FromNodes(std::move(nodes));
}

// Where the subtree that ends at `last` starts.
size_t SubtreeStart(const std::vector<Operator>& postfix, size_t last) {
  size_t start = last;
  for (int missing = Arity(postfix[last]); missing > 0; missing += Arity(postfix[start]) - 1) --start;
  return start;
}

template <typename T>
const T& Pick(const std::vector<T>& items, Random* random) {
  return items[random->Below(items.size())];
}

}  // namespace

ExpressionSampler::ExpressionSampler(ExpressionRules rules) : rules_(std::move(rules)) {
  THIMBLE_CHECK(rules_.min_height >= 0 && rules_.max_height <= kTallestExpression,
                std::to_string(rules_.min_height) + " to " + std::to_string(rules_.max_height));
  bool inner_is_hidden = true, min_is_hidden = true, min_is_inner = true;
  for (const auto& [hidden, inner] : rules_.widths) {
    inner_is_hidden &= inner == hidden;
    min_is_hidden &= hidden <= inner;
    min_is_inner &= inner <= hidden;
  }
  inner_class_ = inner_is_hidden ? 0 : 1;
  min_class_ = min_is_hidden ? 0 : min_is_inner ? inner_class_ : 2;

  trees_.resize(rules_.max_height + 1);
  for (int height = 0; height <= rules_.max_height; ++height)
    for (int width = 0; width < 3; ++width)
      for (int linears = 0; linears < 4; ++linears) Fill({height, width, linears});
  for (int height = rules_.min_height; height <= rules_.max_height; ++height)
    if (Total({height, 0, 3}) > 0) heights_.push_back(height);
}

double ExpressionSampler::Total(const State& state, int except) const {
  double total = 0;
  for (int kind = 0; kind < kKinds; ++kind)
    if (kind != except) total += At(state).by_kind[kind];
  return total;
}

// What the outermost linear of a tree of this state would take: wb1 is the only or the first of the two.
std::optional<ExpressionSampler::State> ExpressionSampler::LinearInput(const State& state) const {
  if (state.linears == 0 || state.height == 0) return std::nullopt;
  const bool first = state.linears == 1;
  if (state.width != (first ? inner_class_ : 0)) return std::nullopt;
  return State{state.height - 1, first ? 0 : inner_class_, state.linears == 3 ? 1 : 0};
}

void ExpressionSampler::Fill(const State& state) {
  Trees& trees = At(state);
  const auto [height, width, linears] = state;
  if (height == 0) {
    trees.by_kind[kLeaf] = width == 0 && linears == 0 ? 1 : 0;
    return;
  }
  trees.by_kind[kActivation] =
      std::min(kCountCap, rules_.unary.size() * Total({height - 1, width, linears}, kActivation));
  if (const auto input = LinearInput(state)) trees.by_kind[kLinear] = Total(*input, kLinear);

  // The linears inside the two operands, wb1 first.
  static const std::vector<std::vector<std::pair<int, int>>> kLinears = {
      {{0, 0}}, {{1, 0}, {0, 1}}, {{2, 0}, {0, 2}}, {{3, 0}, {0, 3}, {1, 2}}};
  double pairs = 0;
  for (const auto& [in_left, in_right] : kLinears[linears])
    for (int left_width = 0; left_width < 3; ++left_width)
      for (int right_width = 0; right_width < 3; ++right_width) {
        if (Narrower(left_width, right_width) != width) continue;
        for (int other = 0; other < 2 * height - 1; ++other) {  // heights (0..h-1, h-1), then (h-1, 0..h-2)
          const State left{std::min(other, height - 1), left_width, in_left};
          const State right{other < height ? height - 1 : other - height, right_width, in_right};
          double count = Total(left) * Total(right);
          const bool same = left.height == right.height && left_width == right_width && linears == 0;
          if (same) count -= Total(left);  // operands may not be identical
          if (count <= 0) continue;
          pairs += count;
          trees.splits.push_back({left, right, 1.0 / (1 << std::min(left.height, right.height))});
        }
      }
  trees.by_kind[kElementwise] = std::min(kCountCap, pairs * rules_.binary.size());
}

std::string ExpressionSampler::WhyOutside(const Expression& expression) const {
  std::string problem = expression.WhyInvalid(rules_.min_height, rules_.max_height);
  if (!problem.empty()) return problem;
  for (const Node& node : expression.nodes()) {
    const auto& allowed = IsUnary(node.op) ? rules_.unary : rules_.binary;
    if ((IsUnary(node.op) || IsBinary(node.op)) && std::count(allowed.begin(), allowed.end(), node.op) == 0)
      return std::string(OperatorName(node.op)) + " is not among the operators of the space";
  }
  for (const auto& [hidden, inner] : rules_.widths) {
    problem = expression.WhyWidthsFail(hidden, inner);
    if (!problem.empty()) return problem;
  }
  return "";
}

// Appends a tree of exactly this state whose root is not of kind `except`. Requires that there is one.
void ExpressionSampler::Generate(const State& state, int except, Random* random, Postfix* out) const {
  const Trees& trees = At(state);
  std::array<Kind, kKinds> kinds{};
  size_t possible = 0;
  for (int kind = 0; kind < kKinds; ++kind)
    if (kind != except && trees.by_kind[kind] > 0) kinds[possible++] = static_cast<Kind>(kind);
  THIMBLE_CHECK(possible > 0, "height " + std::to_string(state.height));
  switch (kinds[random->Below(possible)]) {
    case kActivation:
      Generate({state.height - 1, state.width, state.linears}, kActivation, random, out);
      out->push_back(Pick(rules_.unary, random));
      return;
    case kLinear:
      Generate(*LinearInput(state), kLinear, random, out);
      out->push_back(state.linears == 1 ? Operator::kLinear1 : Operator::kLinear2);
      return;
    case kElementwise: {
      double weights = 0;
      for (const Split& split : trees.splits) weights += split.weight;
      double draw = random->Uniform() * weights;
      size_t chosen = 0;
      while (chosen + 1 < trees.splits.size() && draw >= trees.splits[chosen].weight)
        draw -= trees.splits[chosen++].weight;
      Postfix left, right;
      Generate(trees.splits[chosen].left, kKinds, random, &left);
      do {  // a split has two different operands, so this ends
        right.clear();
        Generate(trees.splits[chosen].right, kKinds, random, &right);
      } while (left == right);
      out->insert(out->end(), left.begin(), left.end());
      out->insert(out->end(), right.begin(), right.end());
      out->push_back(Pick(rules_.binary, random));
      return;
    }
    default:
      out->push_back(Operator::kInput);
  }
}

Expression ExpressionSampler::Draw(Random* random) const {
  THIMBLE_CHECK(!empty(), "no expression keeps to the rules");
  Postfix tree;
  Generate({Pick(heights_, random), 0, 3}, kKinds, random, &tree);
  return FromPostfix(tree);
}

// The state of the subtree that ends at each position; widths that do not fit are found by WhyOutside, not
// here.
std::vector<ExpressionSampler::State> ExpressionSampler::States(const Postfix& tree) const {
  std::vector<State> states, open;
  for (const Operator op : tree) {
    State state{0, 0, 0};
    if (op != Operator::kInput) {
      state = open.back();
      open.pop_back();
      if (IsBinary(op)) {
        const State left = open.back();
        open.pop_back();
        state = {std::max(left.height, state.height), Narrower(left.width, state.width),
                 left.linears | state.linears};
      }
      ++state.height;
      if (IsLinear(op)) {
        state.width = op == Operator::kLinear1 ? inner_class_ : 0;
        state.linears |= op == Operator::kLinear1 ? 1 : 2;
      }
    }
    open.push_back(state);
    states.push_back(state);
  }
  return states;
}

std::optional<ExpressionSampler::Postfix> ExpressionSampler::ReplaceSubtree(const Postfix& tree,
                                                                            Random* random) const {
  const size_t last = random->Below(tree.size());
  State state = States(tree)[last];
  std::vector<int> heights;
  for (int height = 0; height <= rules_.max_height && heights.size() <= kLowSubtree; ++height)
    if (Total({height, state.width, state.linears}) > 0) heights.push_back(height);
  if (heights.empty()) return std::nullopt;
  state.height = Pick(heights, random);
  Postfix result(tree.begin(), tree.begin() + SubtreeStart(tree, last));
  Generate(state, kKinds, random, &result);
  result.insert(result.end(), tree.begin() + last + 1, tree.end());
  return result;
}

std::optional<ExpressionSampler::Postfix> ExpressionSampler::ReplaceOperator(const Postfix& tree,
                                                                             Random* random) const {
  Postfix result = tree;
  Operator& op = result[random->Below(result.size())];
  if (!IsUnary(op) && !IsBinary(op)) return std::nullopt;
  const auto& allowed = IsUnary(op) ? rules_.unary : rules_.binary;
  if (allowed.empty()) return std::nullopt;
  op = Pick(allowed, random);
  return result;
}

std::optional<ExpressionSampler::Postfix> ExpressionSampler::Insert(const Postfix& tree,
                                                                    Random* random) const {
  const size_t last = random->Below(tree.size());
  const size_t start = SubtreeStart(tree, last);
  Postfix result = tree;
  const size_t choices = rules_.unary.size() + rules_.binary.size();
  if (choices == 0) return std::nullopt;
  const size_t choice = random->Below(choices);
  if (choice < rules_.unary.size()) {
    result.insert(result.begin() + last + 1, rules_.unary[choice]);
    return result;
  }
  // The new sibling is x or an activation of x.
  Postfix sibling{Operator::kInput};
  if (!rules_.unary.empty() && random->Chance(0.5)) sibling.push_back(Pick(rules_.unary, random));
  result.insert(result.begin() + last + 1, rules_.binary[choice - rules_.unary.size()]);
  result.insert(result.begin() + (random->Chance(0.5) ? start : last + 1), sibling.begin(), sibling.end());
  return result;
}

std::optional<Expression> ExpressionSampler::Mutate(const Expression& from, Random* random) const {
  const Postfix tree = ToPostfix(from);
  for (int i = 0; i < kTries; ++i) {
    const uint64_t change = random->Below(3);
    const auto changed = change == 0   ? ReplaceSubtree(tree, random)
                         : change == 1 ? ReplaceOperator(tree, random)
                                       : Insert(tree, random);
    if (!changed || *changed == tree) continue;
    Expression result = FromPostfix(*changed);
    if (WhyOutside(result).empty() && !SameForm(result.nodes(), from.nodes())) return result;
  }
  return std::nullopt;
}

ExpressionRules PublishedRules(std::vector<BlockWidths> widths) {
  return {.unary = {Operator::kGelu, Operator::kSigmoid, Operator::kTanh, Operator::kRelu,
                    Operator::kLeakyRelu, Operator::kElu, Operator::kSwish},
          .binary = {Operator::kAdd, Operator::kMul, Operator::kMax},
          .widths = std::move(widths)};
}

Expression ExpressionSampler::Propose(const Expression& base, Random* random) const {
  if (random->Chance(0.5)) return Draw(random);
  auto expression = Mutate(base, random);
  if (!expression) return Draw(random);
  for (uint64_t more = random->Below(kMostProposedChanges); more > 0; --more)
    if (auto next = Mutate(*expression, random)) expression = std::move(next);
  return *expression;
}

std::optional<Expression> ExpressionSampler::Cross(const Expression& a, const Expression& b,
                                                   Random* random) const {
  const Postfix first = ToPostfix(a), second = ToPostfix(b);
  const auto first_states = States(first), second_states = States(second);
  for (int i = 0; i < kTries; ++i) {
    const size_t into = random->Below(first.size()), from = random->Below(second.size());
    if (first_states[into].linears != second_states[from].linears) continue;
    Postfix changed(first.begin(), first.begin() + SubtreeStart(first, into));
    changed.insert(changed.end(), second.begin() + SubtreeStart(second, from), second.begin() + from + 1);
    changed.insert(changed.end(), first.begin() + into + 1, first.end());
    Expression result = FromPostfix(changed);
    if (WhyOutside(result).empty() && !SameForm(result.nodes(), a.nodes()) &&
        !SameForm(result.nodes(), b.nodes()))
      return result;
  }
  return std::nullopt;
}

}  // namespace thimble::models
