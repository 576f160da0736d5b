#include "models/torch/torch_ops.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "models/torch/autocast.h"
#include "models/torch/dispatch.h"
#include "models/torch/kernels/dropout.h"
#include "models/torch/listener.h"
#include "models/torch/mixing.h"
#include "models/torch/products.h"

namespace thimble::models {
namespace {

// Added to the scores of padded keys. Finite, as BERT's: a row of padding alone stays free of NaN, and
// exp(-10000) is 0.
constexpr double kMasked = -10000;
constexpr double kLeastKernel = 1e-12;  // the logarithm of a kernel stays finite

// The first `n` entries of dimension `d`: a view, through which gradients reach the shared weight.
at::Tensor First(const at::Tensor& x, int64_t d, int64_t n) {
  THIMBLE_CHECK(n <= x.size(d),
                "view of " + std::to_string(n) + " of " + std::to_string(x.size(d)) + " channels");
  return n == x.size(d) ? x : x.narrow(d, 0, n);
}

at::Tensor Dropped(const Dropout& dropout, const at::Tensor& x) {
  if (dropout.probability == 0) return x;
  THIMBLE_CHECK(dropout.random != nullptr, "dropout without a random stream");
  return kernels::Dropout(x, dropout.probability, dropout.random->Next());
}

at::Tensor AtLeastFloat(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x;
}

}  // namespace

at::Tensor Apply(Function function, const at::Tensor& x) {
  switch (function) {
    case Function::kGelu:
      return at::gelu(x, "tanh");
    case Function::kGeluErf:
      return at::gelu(x, "none");
    case Function::kSigmoid:
      return at::sigmoid(x);
    case Function::kTanh:
      return at::tanh(x);
    case Function::kRelu:
      return at::relu(x);
    case Function::kLeakyRelu:
      return at::leaky_relu(x, 0.01);
    case Function::kElu:
      return at::elu(x);
    case Function::kSwish:
      return at::silu(x);
    case Function::kLog:
      return at::log(x);
    case Function::kAbs:
      return at::abs(x);
  }
  THIMBLE_CHECK(false, std::to_string(static_cast<int>(function)));
  return {};
}

at::Tensor Combine(Combination how, const at::Tensor& a, const at::Tensor& b) {
  if (how == Combination::kAdd) return a + b;
  if (how == Combination::kPow) return at::pow(a, b);
  return how == Combination::kMul ? a * b : at::maximum(a, b);
}

at::Tensor Linear(const Model& model, const std::string& prefix, const at::Tensor& x) {
  return Linear(x, model.weights.at(prefix + ".weight"), model.weights.at(prefix + ".bias"));
}

at::Tensor LayerNorm(const Model& model, const std::string& prefix, const at::Tensor& x) {
  return at::layer_norm(x, {x.size(-1)}, model.weights.at(prefix + ".weight"),
                        model.weights.at(prefix + ".bias"), model.shape.layer_norm_epsilon);
}

at::Tensor Normalise(const Model& model, const std::string& prefix, const at::Tensor& x) {
  if (!model.shape.no_norm) return LayerNorm(model, prefix, x);
  return at::addcmul(model.weights.at(prefix + ".bias"), x, model.weights.at(prefix + ".weight"));
}

Value TorchOps::Table(std::string_view name, int, int, Ids ids) {
  return Of(at::embedding(Weight(Full(name)), ids == Ids::kTokens ? batch_.ids : batch_.segments));
}

Value TorchOps::Positions(std::string_view name, int rows, int) {
  MostTokens(rows);
  return Of(First(Weight(Full(name)), 0, batch_.ids.size(1)));
}

void TorchOps::MostTokens(int most) {
  const int64_t length = batch_.ids.size(1);
  if (length > most)
    throw BadRequest("forward pass", "a sequence is longer than the model's position table",
                     std::to_string(length) + " tokens", "at most " + std::to_string(most));
}

Value TorchOps::Linear(std::string_view name, const Value& x, int out, LinearForm form) {
  const std::string full = Full(name);
  const at::Tensor& input = In(x);
  if (merging().experts > 0) return Of(MergedLinear(name, input, out, form));
  if (form.groups > 1) {
    const auto part = [&](const std::string& weight, at::IntArrayRef sizes) {
      return FirstOfGroups(Weight(full + weight), sizes, form);
    };
    at::Tensor output =
        GroupedProduct(input, part(".weight", {out, input.size(-1) / form.groups}), form.groups);
    if (form.bias) output = output + part(".bias", {out});
    return Of(std::move(output));
  }
  at::Tensor output = models::Linear(input, First(First(Weight(full + ".weight"), 0, out), 1, input.size(-1)),
                                     form.bias ? First(Weight(full + ".bias"), 0, out) : at::Tensor());
  if (options_.listener) options_.listener->OnLinear(full, input, output);
  return Of(std::move(output));
}

// y_b = (sum over e of g_be W_e) x_b. Packed tokens, [N, c], are of one row.
at::Tensor TorchOps::MergedLinear(std::string_view name, const at::Tensor& x, int out,
                                  LinearForm form) const {
  const at::Tensor& gates = In(merging().gates);
  std::vector<at::Tensor> weights, biases;
  for (int e = 0; e < merging().experts; ++e) {
    const std::string expert = OfExpert(e, name);
    weights.push_back(First(First(Weight(expert + ".weight"), 0, out), 1, x.size(-1)).flatten());
    if (form.bias) biases.push_back(First(Weight(expert + ".bias"), 0, out));
  }
  const at::Tensor weight = Product(gates, at::stack(weights)).view({-1, out, x.size(-1)});
  const at::Tensor bias = form.bias ? Product(gates, at::stack(biases)).unsqueeze(1) : at::Tensor();
  if (weight.size(0) == 1) return models::Linear(x, weight[0], form.bias ? bias.view({out}) : bias);
  const at::Tensor product = Product(x, weight.transpose(1, 2));
  return form.bias ? product + bias : product;
}

Value TorchOps::Norm(std::string_view name, const Value& x) {
  const std::string full = Full(name);
  at::Tensor state = Normalise(model_, full, In(x));
  if (options_.listener) options_.listener->OnNorm(full, In(x), state);
  return Of(std::move(state));
}

Value TorchOps::Apply(std::string_view, Function function, const Value& x) {
  return Of(models::Apply(function, In(x)));
}

Value TorchOps::Combine(std::string_view, Combination how, const Value& a, const Value& b) {
  return Of(models::Combine(how, In(a), In(b)));
}

Value TorchOps::Residual(std::string_view, const Value& a, const Value& b) { return Of(In(a) + In(b)); }

Value TorchOps::Affine(std::string_view, const Value& x, double factor, double shift) {
  return Of((factor == 1 ? In(x) : In(x) * factor) + shift);
}

Value TorchOps::Drop(const Value& x) { return Of(Dropped(options_.dropout, In(x))); }

Value TorchOps::MaskPadding(std::string_view, const Value& x) {
  return Of(In(x) * batch_.mask.to(In(x).scalar_type()).unsqueeze(-1));
}

Value TorchOps::Crop(std::string_view, const Value& x, int width) { return Of(First(In(x), -1, width)); }

Value TorchOps::Shift(std::string_view, const Value& x, int by) {
  const at::Tensor& all = In(x);
  const int64_t length = all.size(1), moved = std::min<int64_t>(std::abs(by), length);
  const at::Tensor none = at::zeros({all.size(0), moved, all.size(2)}, all.options());
  const at::Tensor rest = all.narrow(1, by > 0 ? moved : 0, length - moved);
  return Of(by > 0 ? at::cat({rest, none}, 1) : at::cat({none, rest}, 1));
}

Value TorchOps::Concat(std::string_view, const std::vector<Value>& parts) {
  std::vector<at::Tensor> tensors;
  for (const Value& part : parts) tensors.push_back(In(part));
  return Of(at::cat(tensors, -1));
}

Value TorchOps::Parameter(std::string_view name, int width) {
  return Of(First(Weight(Full(name)), 1, width));
}

Value TorchOps::MeanToken(std::string_view, const Value& x) {
  const at::Tensor& all = In(x);
  if (all.dim() == 2) return Of(all.mean(0, /*keepdim=*/true));
  const at::Tensor real = batch_.mask.to(all.scalar_type()).unsqueeze(-1);
  return Of((all * real).sum(1) / real.sum(1).clamp_min(1));
}

Value TorchOps::Gates(std::string_view, const Value& logits, const Value& spread, int k) {
  const Autocast none(false);
  at::Tensor moved = AtLeastFloat(In(logits));
  if (spread && options_.dropout.random != nullptr) {
    const at::Tensor noise = experts::NormalNoise(moved, options_.dropout.random);
    moved = moved + noise * (at::softplus(AtLeastFloat(In(spread))) + 0.01);
  }
  return Of(experts::TopShares(moved, k));
}

Value TorchOps::Route(std::string_view, const Value& logits, int count, double noise) {
  const Autocast none(false);
  at::Tensor moved = AtLeastFloat(In(logits));
  if (noise > 0 && options_.dropout.random != nullptr)
    moved = moved + experts::UniformNoise(moved, noise, options_.dropout.random);
  const at::Tensor shares = at::softmax(moved, -1);
  if (options_.routing) routing.push_back(shares);
  return Value::Of(experts::Choose(shares, count));
}

Value TorchOps::TokensOfExpert(std::string_view, const Value& route, const Value& x, int expert) {
  return Of(experts::TokensOf(route.as<experts::Routing>(), In(x), expert));
}

Value TorchOps::Together(std::string_view, const Value& route, const Value& x,
                         const std::vector<Value>& parts) {
  std::vector<at::Tensor> made;
  for (const Value& part : parts) made.push_back(In(part));
  return Of(experts::Together(route.as<experts::Routing>(), In(x), made));
}

Value TorchOps::Interleave(std::string_view, const Value& x, int groups) {
  return Of(Interleaved(In(x), groups));
}

Value TorchOps::FirstToken(std::string_view, const Value& x) { return Of(In(x).select(1, 0)); }

// A copy: a view would hold all tokens for as long as the layer runs.
Value TorchOps::OnlyFirst(std::string_view, const Value& x) {
  return Of(In(x).narrow(1, 0, 1).clone(at::MemoryFormat::Contiguous));
}

// In the weights' type, which is that of the states.
Value TorchOps::PaddingBias(std::string_view) {
  const at::ScalarType type = model_.weights.begin()->second.scalar_type();
  return Of(((1 - batch_.mask) * kMasked).to(type).view({batch_.rows(), 1, 1, batch_.mask.size(1)}));
}

Value TorchOps::SplitHeads(std::string_view, const Value& x, int heads, Order) {
  const at::Tensor& all = In(x);
  return Of(all.view({all.size(0), all.size(1), heads, all.size(2) / heads}).transpose(1, 2));
}

Value TorchOps::MergeHeads(std::string_view, const Value& x) {
  const at::Tensor& heads = In(x);
  return Of(heads.transpose(1, 2).reshape({heads.size(0), heads.size(2), heads.size(1) * heads.size(3)}));
}

Value TorchOps::Attention(const Value& query, const Value& key, const Value& value, const Value& bias,
                          Scores shown, const Value& added) {
  const at::Tensor &q = In(query), &k = In(key), &v = In(value);
  if (!(options_.attention_logits && shown == Scores::kShown) && options_.dropout.probability == 0)
    return Of(FusedAttention(q, k, v, added ? In(added) + In(bias) : In(bias)));
  Value scores = Similarities(query, key);
  if (added) scores = Of(In(scores) + In(added));
  if (options_.attention_logits && shown == Scores::kShown) attention_logits = In(scores);
  return Of(Attended(In(scores), v, In(bias)));
}

at::Tensor TorchOps::Attended(const at::Tensor& scores, const at::Tensor& value,
                              const at::Tensor& bias) const {
  return Product(Dropped(options_.dropout, at::softmax(scores + bias, -1)), value);
}

at::Tensor TorchOps::Places() const {
  const at::ScalarType type = model_.weights.begin()->second.scalar_type();
  return at::arange(batch_.ids.size(1), batch_.mask.options().dtype(type));
}

Value TorchOps::Distances(std::string_view, Tokens queries) {
  const at::Tensor key = Places(), query = queries == Tokens::kAll ? key : key.narrow(0, 0, 1);
  return Of((query.unsqueeze(1) - key).abs().view({1, 1, query.size(0), key.size(0)}));
}

Value TorchOps::Farthest(std::string_view, Tokens queries) {
  const at::Tensor key = Places(), query = queries == Tokens::kAll ? key : key.narrow(0, 0, 1);
  const at::Tensor last = batch_.mask.sum(1, /*keepdim=*/true).to(key.scalar_type()) - 1;
  return Of(at::maximum(query, last - query).view({batch_.rows(), 1, query.size(0), 1}));
}

Value TorchOps::Constants(std::string_view, const std::vector<double>& values) {
  return Of(at::tensor(values, at::kDouble).to(Places().options()).view({1, -1, 1, 1}));
}

Value TorchOps::Numbers(std::string_view name, int count, NumberForm form) {
  at::Tensor numbers = First(Weight(Full(name)), 0, count).view({1, count, 1, 1});
  if (form.least > -NumberForm::kUnbounded) numbers = numbers.clamp_min(form.least);
  if (form.most < NumberForm::kUnbounded) numbers = numbers.clamp_max(form.most);
  return Of(std::move(numbers));
}

Value TorchOps::MaskKeys(std::string_view, const Value& maps) {
  return Of(In(maps) * batch_.mask.to(In(maps).scalar_type()).unsqueeze(1).unsqueeze(1));
}

// In float32 whatever products are rounded to: there are few channels, and torch is slow with others.
Value TorchOps::KeyConvolution(std::string_view name, const Value& maps, int out, int kernel,
                               LinearForm form) {
  const std::string full = Full(name);
  const Autocast none(false);
  const at::Tensor& whole = Weight(full + ".weight");
  const at::Tensor x = In(maps).to(whole.scalar_type());
  const at::Tensor weight = First(First(whole, 0, out), 1, x.size(1) * kernel);
  return Of(at::conv2d(x, weight.reshape({out, x.size(1), 1, kernel}),
                       form.bias ? First(Weight(full + ".bias"), 0, out) : at::Tensor(), 1,
                       at::IntArrayRef({0, kernel / 2})));
}

Value TorchOps::Similarities(const Value& query, const Value& key) {
  const at::Tensor& q = In(query);
  return Of(Product(q * (1 / std::sqrt(static_cast<double>(q.size(-1)))), In(key).transpose(-2, -1)));
}

Value TorchOps::Attend(const Value& scores, const Value& value, const Value& bias) {
  if (options_.attention_logits) attention_logits = In(scores);
  return Of(Attended(In(scores), In(value), In(bias)));
}

Value TorchOps::ContractTokens(std::string_view, const Value& a, const Value& b) {
  return Of(Product(In(a).transpose(-2, -1), In(b)));
}

Value TorchOps::SumTokens(std::string_view, const Value& x) { return Of(In(x).sum(2).unsqueeze(-1)); }

Value TorchOps::MatMul(std::string_view, const Value& x, const Value& matrix) {
  return Of(Product(In(x), In(matrix)));
}

Value TorchOps::Divide(std::string_view, const Value& x, const Value& by) { return Of(In(x) / In(by)); }

Value TorchOps::Softmax(std::string_view, const Value& x) { return Of(at::softmax(In(x), -1)); }

Value TorchOps::Spectrum(std::string_view, const Value& x, models::Transform how) {
  const at::Tensor& heads = In(x);
  return Of(models::Spectrum(heads, batch_.mask, how));
}

Value TorchOps::LocalSum(std::string_view, const Value& weights, const Value& x, int kernel) {
  const at::Tensor& factors = In(weights);
  return Of(SumOfNeighbours(In(x), 2, kernel, [&](int j) { return factors.narrow(3, j, 1); }));
}

Value TorchOps::Depthwise(std::string_view name, const Value& x, int kernel, bool) {
  const at::Tensor factors = MiddleTaps(Weight(Full(name) + ".weight"), In(x).size(2), kernel);
  if (kernel >= kLongKernel) return Of(LongConvolution(In(x), factors));
  return Of(SumOfNeighbours(In(x), 1, kernel, [&](int j) { return factors.select(1, j); }));
}

void TorchOps::ShowKernel(const Value& query, const Value& key) {
  if (!options_.kernel_logits) return;
  const Autocast none(false);
  kernel_logits =
      (AtLeastFloat(In(query)).matmul(AtLeastFloat(In(key)).transpose(-2, -1)) + kLeastKernel).log();
}

void TorchOps::Tap(Tapped what, const Value& x) {
  if (what == Tapped::kMixed) {
    if (options_.mixer_states) mixer_state = In(x);
    return;
  }
  if (!options_.projections) return;
  (what == Tapped::kQuery ? projections.query
   : what == Tapped::kKey ? projections.key
                          : projections.value) = In(x);
}

}  // namespace thimble::models
