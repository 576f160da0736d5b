#include "models/encoder/trace.h"

#include <algorithm>

#include "base/error.h"

namespace thimble::models {

struct Trace::Memory {
  Memory(std::shared_ptr<Cost> of, int64_t width, int64_t maps, int id)
      : cost(std::move(of)), width(width), maps(maps), id(id) {
    cost->alive += width;
    cost->alive_maps += maps;
    if (cost->alive_maps == 0)
      cost->most_alive = std::max(cost->most_alive, cost->alive);
    else
      cost->peaks.emplace_back(cost->alive, cost->alive_maps);
  }
  ~Memory() {
    cost->alive -= width;
    cost->alive_maps -= maps;
  }
  std::shared_ptr<Cost> cost;
  int64_t width, maps;
  int id;
  bool kept = false;
};

Value Trace::New(int64_t width, int64_t nodes, Of tokens) {
  cost_->nodes += nodes;
  const int64_t held = tokens == Of::kAll ? width : 0;
  return Value::Of(Traced{std::make_shared<Memory>(cost_, held, 0, values_++), width, 0, tokens});
}

// Of the first token alone they are as large as a state.
Value Trace::NewMaps(int64_t width, int64_t nodes, Of queries, bool of_all_rows) {
  cost_->nodes += nodes;
  const int64_t held = of_all_rows ? 0 : width;
  const bool pairs = queries == Of::kAll;
  return Value::Of(Traced{std::make_shared<Memory>(cost_, pairs ? 0 : held, pairs ? held : 0, values_++),
                          width, 0, queries, Traced::kMaps, of_all_rows});
}

Value Trace::Like(const Value& x, int64_t width, int64_t nodes) {
  const Traced& like = x.as<Traced>();
  if (like.what == Traced::kNumbers) {
    cost_->nodes += nodes;
    return x;
  }
  return like.what == Traced::kMaps ? NewMaps(width, nodes, like.tokens, like.of_all_rows)
                                    : New(width, nodes, like.tokens);
}

Value Trace::Part(const Value& x, int64_t width, int heads) {
  return Value::Of(Traced{x.as<Traced>().memory, width, heads, TokensOf(x)});
}

void Trace::WantAll(const Value& x) {
  THIMBLE_CHECK(TokensOf(x) == Of::kAll, "a word about all tokens, of one");
}

Value Trace::Both(const Value& a, const Value& b) {
  const Traced &of_a = a.as<Traced>(), &of_b = b.as<Traced>();
  const bool numbers = of_a.what == Traced::kNumbers || of_b.what == Traced::kNumbers;
  THIMBLE_CHECK(numbers || of_a.tokens == of_b.tokens, "one token's state with all tokens'");
  const Traced& larger = of_a.what >= of_b.what ? of_a : of_b;
  const int64_t width = std::max(of_a.width, of_b.width);
  if (larger.what != Traced::kMaps) return New(width, 1, larger.tokens);
  const auto alike = [](const Traced& each) { return each.what == Traced::kNumbers || each.of_all_rows; };
  return NewMaps(width, 1, larger.tokens, alike(of_a) && alike(of_b));
}

void Trace::Multiply(Of tokens, int64_t products) {
  if (tokens == Of::kAll) cost_->token_products += products;
  if (tokens == Of::kFirst) cost_->row_products += products;
}

Value Trace::State(int width) { return New(width, 0); }

void Trace::Keep(const Value& x) {
  Memory& memory = *x.as<Traced>().memory;
  if (!memory.kept) cost_->kept += memory.width;
  if (!memory.kept) cost_->kept_shares += memory.maps;
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
  const Value result = Like(x, Width(x), nodes);
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
  const int nodes = (factor != 1) + (shift != 0);
  if (x.as<Traced>().what != Traced::kState) return Like(x, Width(x), nodes);
  return Part(New(Width(x), nodes, TokensOf(x)), Width(x), x.as<Traced>().heads);
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
  return Value::Of(Traced{New(0, 0, Of::kFirst).as<Traced>().memory, width, 0, Of::kFirst, Traced::kState,
                          false, /*constant=*/true});
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

Value Trace::Attention(const Value& query, const Value& key, const Value& value, const Value&, Scores shown,
                       const Value& added) {
  const int64_t heads = query.as<Traced>().heads, kNodes = added ? 6 : 5;
  // The maps and what masks padding are added up first.
  const Value sum = added ? NewMaps(heads, 0, TokensOf(query), false) : Value();
  for (const Value& each : {query, key, value}) Keep(each);
  if (shown == Scores::kShown) taps_.heads += static_cast<int>(heads);
  const int64_t products = Width(query) + Width(value);
  if (TokensOf(query) == Of::kAll) {
    cost_->pair_products += products;
    cost_->kept_shares += 2 * heads;  // before and after dropout
  } else {
    cost_->token_products += products;
  }
  return New(Width(value), kNodes, TokensOf(query));
}

Value Trace::Distances(std::string_view, Tokens queries) { return NewMaps(1, 4, As(queries), true); }

Value Trace::Farthest(std::string_view, Tokens queries) { return New(1, 6, As(queries)); }

Value Trace::Constants(std::string_view, const std::vector<double>& values) {
  const Value none = New(0, 0);
  return Value::Of(
      Traced{none.as<Traced>().memory, static_cast<int64_t>(values.size()), 0, Of::kAll, Traced::kNumbers});
}

Value Trace::Numbers(std::string_view name, int count, NumberForm form) {
  Weight(name, "", {count});
  if (named_) weights_.back().numbers = form;
  const Value none = New(0, 0);
  return Value::Of(Traced{none.as<Traced>().memory, count, 0, Of::kAll, Traced::kNumbers});
}

Value Trace::MaskKeys(std::string_view, const Value& maps) {
  return NewMaps(Width(maps), 3, TokensOf(maps), false);
}

Value Trace::KeyConvolution(std::string_view name, const Value& maps, int out, int kernel, LinearForm form) {
  const int64_t read = Width(maps) * kernel;
  form.kernel = kernel;
  Weight(name, ".weight", {out, read}, form);
  if (form.bias) Weight(name, ".bias", {out}, form);
  (TokensOf(maps) == Of::kAll ? cost_->pair_products : cost_->token_products) += read * out;
  Keep(maps);
  return Like(maps, out, 1);
}

Value Trace::Similarities(const Value& query, const Value& key) {
  Keep(query);
  Keep(key);
  (TokensOf(query) == Of::kAll ? cost_->pair_products : cost_->token_products) += Width(query);
  return NewMaps(query.as<Traced>().heads, 2, TokensOf(query), false);
}

Value Trace::Attend(const Value& scores, const Value& value, const Value&) {
  constexpr int kNodes = 3;
  const Of queries = TokensOf(scores);
  Keep(value);
  taps_.heads += static_cast<int>(Width(scores));
  if (queries == Of::kAll) cost_->kept_shares += 2 * Width(scores);  // before and after dropout
  (queries == Of::kAll ? cost_->pair_products : cost_->token_products) += Width(value);
  // The shares, and the same with padding masked.
  const Value masked = NewMaps(Width(scores), 0, queries, false),
              shares = NewMaps(Width(scores), 0, queries, false);
  return New(Width(value), kNodes, queries);
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
  if (x.as<Traced>().what == Traced::kMaps) return Both(x, by);
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
