#include "models/arch/expression.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "models/arch/canonical.h"

namespace thimble::models {
namespace {

// Bounds on hostile text; the tallest full tree of binary operators is shorter.
constexpr size_t kLongestText = 1 << 16;
constexpr int kDeepestNesting = 64;

class Parser {
 public:
  Parser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  std::vector<Node> Run() {
    if (text_.size() > kLongestText)
      throw BadRequest(where_, "the expression is too long", std::to_string(text_.size()) + " characters",
                       "up to " + std::to_string(kLongestText));
    ReadTree(0);
    SkipSpaces();
    if (at_ < text_.size()) Fail("text after the end of the expression", at_, "");
    return std::move(nodes_);
  }

 private:
  [[noreturn]] void Fail(const std::string& problem, size_t column, const std::string& accepted) const {
    throw BadRequest(where_, "column " + std::to_string(column + 1) + ": " + problem, std::string(text_),
                     accepted);
  }

  void SkipSpaces() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }

  void Expect(char c) {
    SkipSpaces();
    if (at_ == text_.size() || text_[at_] != c)
      Fail(at_ == text_.size() ? "the expression ends early" : std::string("unexpected '") + text_[at_] + "'",
           at_, std::string("'") + c + "'");
    ++at_;
  }

  // Also returns where the name starts.
  std::pair<std::string_view, size_t> ReadName() {
    SkipSpaces();
    const size_t start = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_'))
      ++at_;
    return {text_.substr(start, at_ - start), start};
  }

  int Add(Node node) {
    nodes_.push_back(node);
    return static_cast<int>(nodes_.size()) - 1;
  }

  int ReadTree(int depth) {
    if (depth > kDeepestNesting)
      Fail("nested too deeply", at_, "heights up to " + std::to_string(kTallestExpression));
    const auto [name, start] = ReadName();
    if (name == "x") return Add({Operator::kInput});
    if (name == "linear") {
      Expect('(');
      const int input = ReadTree(depth + 1);
      Expect(',');
      const auto [weights, column] = ReadName();
      if (weights != "wb1" && weights != "wb2")
        Fail("the second argument of linear is a weight", column, "wb1, wb2");
      Expect(')');
      return Add({weights == "wb1" ? Operator::kLinear1 : Operator::kLinear2, input});
    }
    if (const auto op = OperatorNamed(name)) {
      Expect('(');
      const int left = ReadTree(depth + 1);
      int right = -1;
      if (IsBinary(*op)) {
        Expect(',');
        right = ReadTree(depth + 1);
      }
      Expect(')');
      return Add({*op, left, right});
    }
    std::string accepted = "x, linear";
    for (const Operator op : Catalogue()) (accepted += ", ") += OperatorName(op);
    Fail(name.empty() ? "an operator or x is missing" : "no operator \"" + std::string(name) + "\"", start,
         accepted);
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
  std::vector<Node> nodes_;
};

bool IsTree(const std::vector<Node>& nodes) {
  std::vector<int> parents(nodes.size(), 0);
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    const int wanted = node.op == Operator::kInput ? 0 : IsBinary(node.op) ? 2 : 1;
    if ((node.left >= 0) != (wanted >= 1) || (node.right >= 0) != (wanted == 2)) return false;
    for (const int child : {node.left, node.right}) {
      if (child >= static_cast<int>(i)) return false;
      if (child >= 0 && ++parents[child] > 1) return false;
    }
  }
  return !nodes.empty() && std::count(parents.begin(), parents.end(), 0) == 1 && parents.back() == 0;
}

// The text of every node's subtree.
std::vector<std::string> Spell(const std::vector<Node>& nodes) {
  std::vector<std::string> texts;
  texts.reserve(nodes.size());
  for (const Node& node : nodes) {
    std::string text(OperatorName(node.op));
    if (node.left >= 0) text += "(" + texts[node.left];
    if (node.right >= 0) text += "," + texts[node.right];
    if (IsLinear(node.op)) text += node.op == Operator::kLinear1 ? ",wb1" : ",wb2";
    if (node.left >= 0) text += ")";
    texts.push_back(std::move(text));
  }
  return texts;
}

// The linear that the text names first, or kInput.
Operator FirstLinear(const std::vector<Node>& nodes, int at) {
  for (const int child : {nodes[at].left, nodes[at].right}) {
    if (child < 0) continue;
    if (const Operator inside = FirstLinear(nodes, child); IsLinear(inside)) return inside;
  }
  return IsLinear(nodes[at].op) ? nodes[at].op : Operator::kInput;
}

bool SameTree(const std::vector<Node>& nodes, int a, int b) {
  if (a < 0 || b < 0) return a == b;
  return nodes[a].op == nodes[b].op && SameTree(nodes, nodes[a].left, nodes[b].left) &&
         SameTree(nodes, nodes[a].right, nodes[b].right);
}

}  // namespace

Expression Expression::Parse(std::string_view text, const std::string& where) {
  Expression expression = FromNodes(Parser(text, where).Run());
  const std::string problem = expression.WhyInvalid(3, kTallestExpression);
  if (!problem.empty()) throw BadRequest(where, problem, std::string(text), "see docs/expressions.md");
  return expression;
}

Expression Expression::FromNodes(std::vector<Node> nodes) {
  Expression expression;
  expression.nodes_ = std::move(nodes);
  return expression;
}

std::string Expression::ToString() const { return nodes_.empty() ? "" : Spell(nodes_).back(); }

int Expression::Height() const {
  std::vector<int> heights;
  heights.reserve(nodes_.size());
  for (const Node& node : nodes_) {
    int height = 0;
    for (const int child : {node.left, node.right})
      if (child >= 0) height = std::max(height, heights[child] + 1);
    heights.push_back(height);
  }
  return heights.empty() ? 0 : heights.back();
}

std::string Expression::Canonical() const { return nodes_.empty() ? "" : CanonicalForm(nodes_); }

std::string Expression::WhyInvalid(int min_height, int max_height) const {
  if (!IsTree(nodes_)) return "the nodes are no tree in post-order";
  const int height = Height();
  if (height < min_height || height > max_height)
    return "the height is " + std::to_string(height) + " edges, not " + std::to_string(min_height) + " to " +
           std::to_string(max_height);
  for (const Operator op : {Operator::kLinear1, Operator::kLinear2}) {
    const auto uses =
        std::count_if(nodes_.begin(), nodes_.end(), [op](const Node& node) { return node.op == op; });
    if (uses != 1)
      return std::string(op == Operator::kLinear1 ? "wb1" : "wb2") + " stands " + std::to_string(uses) +
             " times, not once";
  }
  if (FirstLinear(nodes_, static_cast<int>(nodes_.size()) - 1) != Operator::kLinear1)
    return "wb2 stands before wb1";
  // Every leaf is x, so that x is present needs no rule of its own.
  for (const Node& node : nodes_) {
    if (node.left < 0) continue;
    const Operator inner = nodes_[node.left].op;
    if (IsUnary(node.op) && IsUnary(inner))
      return std::string(OperatorName(inner)) + " directly inside " + std::string(OperatorName(node.op)) +
             ": an activation of an activation";
    if (IsLinear(node.op) && IsLinear(inner)) return "linear directly inside linear";
    if (IsBinary(node.op) && SameTree(nodes_, node.left, node.right))
      return std::string(OperatorName(node.op)) + " of two identical arguments, " + Spell(nodes_)[node.left];
  }
  return "";
}

std::string Expression::WhyWidthsFail(int hidden, int inner) const {
  std::vector<int> widths;
  widths.reserve(nodes_.size());
  for (const Node& node : nodes_) {
    int width = node.left < 0 ? hidden : widths[node.left];
    if (IsBinary(node.op)) width = std::min(width, widths[node.right]);
    if (IsLinear(node.op)) {
      const bool first = node.op == Operator::kLinear1;
      if (width != (first ? hidden : inner))
        return std::string("the linear with ") + (first ? "wb1" : "wb2") + " takes " +
               std::to_string(first ? hidden : inner) + " channels but gets " + std::to_string(width);
      width = first ? inner : hidden;
    }
    widths.push_back(width);
  }
  if (widths.empty() || widths.back() != hidden)
    return "the output has " + std::to_string(widths.empty() ? 0 : widths.back()) +
           " channels but the residual needs " + std::to_string(hidden);
  return "";
}

}  // namespace thimble::models
