#include "models/encoder/trace.h"

#include <algorithm>

#include "base/error.h"

namespace thimble::models {

struct Trace::Memory {
  Memory(std::shared_ptr<Cost> cost, int64_t width, int id) : cost(std::move(cost)), width(width), id(id) {
    this->cost->alive += width;
    this->cost->most_alive = std::max(this->cost->most_alive, this->cost->alive);
  }
  ~Memory() { cost->alive -= width; }
  std::shared_ptr<Cost> cost;
  int64_t width;
  int id;
  bool kept = false;
};

Value Trace::New(int64_t width, int64_t nodes, Of tokens) {
  cost_->nodes += nodes;
  const int64_t held = tokens == Of::kAll ? width : 0;
  return Value::Of(Traced{std::make_shared<Memory>(cost_, held, values_++), width, 0, tokens});
}

Value Trace::Part(const Value& x, int64_t width, int heads) {
  return Value::Of(Traced{x.as<Traced>().memory, width, heads, TokensOf(x)});
}

void Trace::WantAll(const Value& x) {
  THIMBLE_CHECK(TokensOf(x) == Of::kAll, "a word about all tokens, of one");
}

Value Trace::Both(const Value& a, const Value& b) {
  THIMBLE_CHECK(TokensOf(a) == TokensOf(b), "one token's state with all tokens'");
  return New(Width(a), 1, TokensOf(a));
}

void Trace::Multiply(Of tokens, int64_t products) {
  if (tokens == Of::kAll) cost_->token_products += products;
  if (tokens == Of::kFirst) cost_->row_products += products;
}

Value Trace::State(int width) { return New(width, 0); }

void Trace::Keep(const Value& x) {
  Memory& memory = *x.as<Traced>().memory;
  if (!memory.kept) cost_->kept += memory.width;
  memory.kept = true;
}

void Trace::Weight(std::string_view name, std::string_view part, std::vector<int64_t> sizes,
                   LinearForm form) {
  int64_t numbers = 1;
  for (const int64_t size : sizes) numbers *= size;
  cost_->parameters += numbers;
  ++cost_->tensors;
  if (named_) weights_.push_back({Full(name).append(part), std::move(sizes), form});
}

Value Trace::Table(std::string_view name, int rows, int width, Ids) {
  Weight(name, "", {rows, width});
  return New(width, 1);
}

// A part of the weight itself: no memory.
Value Trace::Positions(std::string_view name, int rows, int width) {
  Weight(name, "", {rows, width});
  return New(0, 2);
}

Value Trace::Linear(std::string_view name, const Value& x, int out, LinearForm form) {
  const int64_t in = Width(x);
  const int input = x.as<Traced>().memory->id;
  if (merging().experts > 0) return MergedLinear(name, x, out, form);
  THIMBLE_CHECK(in % form.groups == 0 && out % form.groups == 0, Full(name));
  const int64_t of_group = in / form.groups;
  Weight(name, ".weight", {out, of_group}, form);
  if (form.bias) Weight(name, ".bias", {out}, form);
  Multiply(TokensOf(x), of_group * out);
  Keep(x);
  // What is counted below is a matrix that a file may hold in eight bits; groups stay in float32.
  if (form.groups > 1) return New(out, form.bias ? 6 : 5, TokensOf(x));
  ++cost_->linears;
  cost_->matrices += in * out;
  cost_->outputs += out;
  if (read_by_linears_.insert(input).second) cost_->inputs += in;
  if (named_) linears_.push_back({Full(name), input});
  return New(out, form.bias ? 2 : 1, TokensOf(x));
}

// In float32, too: it is another matrix for each row.
Value Trace::MergedLinear(std::string_view name, const Value& x, int out, LinearForm form) {
  const int64_t in = Width(x), experts = merging().experts, numbers = in * out;
  for (int e = 0; e < experts; ++e) {
    const std::string expert = "expert." + std::to_string(e) + "." + std::string(name);
    Weight(expert, ".weight", {out, in}, form);
    if (form.bias) Weight(expert, ".bias", {out}, form);
  }
  Keep(x);
  Multiply(TokensOf(x), numbers);
  if (merging().gates.as<Traced>().constant) {
    cost_->folded += (experts - 1) * (numbers + (form.bias ? out : 0));
    return New(out, form.bias ? 2 : 1, TokensOf(x));
  }
  cost_->row_products += experts * numbers;
  cost_->kept_rows += numbers;
  return New(out, form.bias ? 6 : 3, TokensOf(x));
}

Value Trace::Norm(std::string_view name, const Value& x) {
  const int64_t width = Width(x);
  Weight(name, ".weight", {width});
  Weight(name, ".bias", {width});
  Keep(x);
  if (TokensOf(x) == Of::kAll) cost_->kept += statistics_;
  return New(width, 1, TokensOf(x));
}

Value Trace::Apply(std::string_view, Function function, const Value& x) {
  constexpr int kGeluNodes = 8, kErfNodes = 5;  // as ONNX spells them
  const int nodes = function == Function::kGelu      ? kGeluNodes
                    : function == Function::kGeluErf ? kErfNodes
                    : function == Function::kSwish   ? 2
                                                     : 1;
  const Value result = New(Width(x), nodes, TokensOf(x));
  // Some gradients are functions of the result.
  const bool of_result =
      function == Function::kTanh || function == Function::kSigmoid || function == Function::kRelu;
  Keep(of_result ? result : x);
  return result;
}

Value Trace::Combine(std::string_view, Combination how, const Value& a, const Value& b) {
  if (how != Combination::kAdd) {
    Keep(a);
    Keep(b);
  }
  return Both(a, b);
}

Value Trace::Residual(std::string_view, const Value& a, const Value& b) { return Both(a, b); }

Value Trace::Affine(std::string_view, const Value& x, double factor, double shift) {
  const Value result = New(Width(x), (factor != 1) + (shift != 0), TokensOf(x));
  return Part(result, Width(x), x.as<Traced>().heads);
}

Value Trace::MaskPadding(std::string_view, const Value& x) {
  WantAll(x);
  return New(Width(x), 3);
}

Value Trace::Crop(std::string_view, const Value& x, int width) {
  ++cost_->nodes;
  return Part(x, width);
}

Value Trace::Shift(std::string_view, const Value& x, int) {
  WantAll(x);
  return New(Width(x), 2);
}

Value Trace::Concat(std::string_view, const std::vector<Value>& parts) {
  int64_t width = 0;
  for (const Value& part : parts) {
    THIMBLE_CHECK(TokensOf(part) == TokensOf(parts[0]), "one token's channels beside all tokens'");
    width += Width(part);
  }
  return Part(New(width, 1, TokensOf(parts[0])), width, parts[0].as<Traced>().heads);
}

Value Trace::Parameter(std::string_view name, int width) {
  Weight(name, "", {1, width});
  cost_->folded += width;
  return Value::Of(
      Traced{New(0, 0, Of::kFirst).as<Traced>().memory, width, 0, Of::kFirst, /*constant=*/true});
}

Value Trace::MeanToken(std::string_view, const Value& x) {
  WantAll(x);
  constexpr int kNodes = 7;
  return New(Width(x), kNodes, Of::kFirst);
}

Value Trace::Gates(std::string_view, const Value& logits, const Value&, int k) {
  Traced gates = logits.as<Traced>();
  constexpr int kNodes = 4;  // of those that are the largest
  if (!gates.constant) cost_->nodes += k < gates.width ? kNodes : 1;
  return Value::Of(std::move(gates));
}

Value Trace::Route(std::string_view, const Value& logits, int experts, double) {
  constexpr int kNodes = 6, kOfExpert = 3;
  const Value shares = New(experts, kNodes + kOfExpert * experts, TokensOf(logits));
  Keep(shares);
  return shares;
}

Value Trace::TokensOfExpert(std::string_view, const Value&, const Value& x, int expert) {
  return New(Width(x), 2, expert == 0 ? TokensOf(x) : Of::kFurther);
}

Value Trace::Together(std::string_view, const Value&, const Value& x, const std::vector<Value>& parts) {
  Keep(parts[0]);
  constexpr int kNodes = 7;
  return New(Width(parts[0]), kNodes + static_cast<int64_t>(parts.size()), TokensOf(x));
}

Value Trace::Interleave(std::string_view, const Value& x, int) { return New(Width(x), 3, TokensOf(x)); }

Value Trace::FirstToken(std::string_view, const Value& x) { return New(Width(x), 1, Of::kFirst); }
Value Trace::OnlyFirst(std::string_view, const Value& x) { return New(Width(x), 1, Of::kFirst); }

Value Trace::PaddingBias(std::string_view) { return New(0, 5); }

Value Trace::SplitHeads(std::string_view, const Value& x, int heads, Order) {
  cost_->nodes += 2;
  return Part(x, Width(x), heads);
}

Value Trace::MergeHeads(std::string_view, const Value& x) {
  cost_->nodes += 2;
  return Part(x, Width(x));
}

Value Trace::Attention(const Value& query, const Value& key, const Value& value, const Value&, Scores shown) {
  constexpr int kNodes = 5;
  for (const Value& each : {query, key, value}) Keep(each);
  if (shown == Scores::kShown) taps_.heads += query.as<Traced>().heads;
  const int64_t products = Width(query) + Width(value);
  if (TokensOf(query) == Of::kAll) {
    cost_->pair_products += products;
    cost_->kept_shares += 2 * query.as<Traced>().heads;  // before and after dropout
  } else {
    cost_->token_products += products;
  }
  return New(Width(value), kNodes, TokensOf(query));
}

// Matrices of channels by channels are next to nothing beside a state.
Value Trace::ContractTokens(std::string_view, const Value& a, const Value& b) {
  const int heads = a.as<Traced>().heads;
  WantAll(a);
  WantAll(b);
  Keep(a);
  Keep(b);
  cost_->token_products += Width(a) * Width(b) / heads;
  const Value matrix = New(0, 1);
  return Part(matrix, Width(b), heads);
}

Value Trace::SumTokens(std::string_view, const Value& x) {
  WantAll(x);
  const Value sums = New(0, 1);
  return Part(sums, x.as<Traced>().heads, x.as<Traced>().heads);
}

Value Trace::MatMul(std::string_view, const Value& x, const Value& matrix) {
  const int heads = x.as<Traced>().heads;
  Keep(x);
  Multiply(TokensOf(x), Width(x) * Width(matrix) / heads);
  const Value product = New(Width(matrix), 1, TokensOf(x));
  return Part(product, Width(matrix), heads);
}

Value Trace::Divide(std::string_view, const Value& x, const Value& by) {
  Keep(x);
  Keep(by);
  return Part(New(Width(x), 1, TokensOf(x)), Width(x), x.as<Traced>().heads);
}

Value Trace::Softmax(std::string_view, const Value& x) {
  const Value shares = New(Width(x), 1, TokensOf(x));
  Keep(shares);
  return Part(shares, Width(x), x.as<Traced>().heads);
}

// Over channels, two products with a matrix of a head's channels by as many; over tokens, of each with one of
// all pairs. What the latter matrices hold is next to nothing beside a head's states.
Value Trace::Spectrum(std::string_view, const Value& x, Transform how) {
  WantAll(x);
  const int heads = x.as<Traced>().heads, products = how == Transform::kDft ? 2 : 1;
  cost_->token_products += products * Width(x) * Width(x) / heads;
  cost_->pair_products += products * Width(x);
  constexpr int kNodes = 24;
  return Part(New(Width(x), kNodes), Width(x), heads);
}

Value Trace::LocalSum(std::string_view, const Value& weights, const Value& x, int kernel) {
  WantAll(x);
  Keep(weights);
  Keep(x);
  cost_->token_products += kernel * Width(x);
  return Part(New(Width(x), 4 * kernel), Width(x), x.as<Traced>().heads);
}

Value Trace::Depthwise(std::string_view name, const Value& x, int kernel, bool starts_as_identity) {
  WantAll(x);
  Weight(name, ".weight", {Width(x), kernel},
         {.groups = static_cast<int>(Width(x)),
          .bias = false,
          .taps = true,
          .starts_as_identity = starts_as_identity});
  Keep(x);
  (kernel < kLongKernel ? cost_->token_products : cost_->pair_products) +=
      kernel < kLongKernel ? kernel * Width(x) : Width(x);
  return New(Width(x), kernel < kLongKernel ? 3 : 9);
}

}  // namespace thimble::models
