// The words in which an encoder is said, once. The walk (encoder/encoder.h) and what it is made of (mixers/,
// feed_forwards/, embeddings/) are functions over them. Interpreters read those functions: Trace counts
// (encoder/trace.h), TorchOps computes (torch/torch_ops.h), OnnxOps writes a graph (onnx/onnx_ops.h).
//
// B rows of T tokens, H heads. A state is [B, T, c] and c its width; of the first token alone, [B, 1, c],
// where no other is read (OnlyFirst). `name` is a weight's and a step's, within the scope: "query" in
// layer.0.attention has the weights layer.0.attention.query.{weight,bias}.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/arch/head.h"

namespace thimble::models {

// What a word returns: the interpreter's own, held by count. Memory is free once the last handle is gone, so
// the walk drops what it does not need any more.
class Value {
 public:
  Value() = default;
  template <typename T>
  static Value Of(T held) {
    Value value;
    value.held_ = std::make_shared<T>(std::move(held));
    return value;
  }
  template <typename T>
  const T& as() const {
    return *static_cast<const T*>(held_.get());
  }
  explicit operator bool() const { return held_ != nullptr; }

 private:
  std::shared_ptr<const void> held_;
};

// Functions of one number, and of two.
enum class Function {
  kGelu,     // its tanh form
  kGeluErf,  // exact
  kSigmoid,
  kTanh,
  kRelu,
  kLeakyRelu,  // slope 0.01
  kElu,
  kSwish,
  kLog,
  kAbs,
};
enum class Combination { kAdd, kMul, kMax, kPow };

// Transforms both sides of a matrix of tokens by channels; orthonormal.
enum class Transform {
  kDft,  // the real part of the discrete Fourier transform
  kDct,  // the cosine transform, type II
};

enum class Ids { kTokens, kSegments };
// What losses look at inside of a layer, beside the attention scores, [B, T, w] each: of a mixer its queries,
// keys and values; kMixed: what the mixing block returns, its norm behind it.
enum class Tapped { kQuery, kKey, kValue, kMixed };

struct LinearForm {
  int in_parts = 1;  // its columns are as many parts side by side, of each of which a crop keeps the first
  bool starts_as_one = false;   // a new one returns 1 whatever it reads: weight 0, bias 1
  bool starts_as_zero = false;  // likewise 0
  // Its channels, in and out, are as many groups side by side, each with a linear of its own: the weight is
  // [out, in / groups]. A larger model has more groups, or groups larger in both directions, of which a crop
  // has the first ones, or the first channels of each; `as_many_groups`: always as many, of any size.
  int groups = 1;
  bool as_many_groups = false;
  bool bias = true;
  // KeyConvolution's: its columns are as many taps of each channel. 0: it is none.
  int kernel = 0;
  // Depthwise's: its columns are taps about a middle, of which a crop keeps the middle ones. A new one that
  // starts as the identity returns what it reads: 1 at the middle tap, 0 at the others.
  bool taps = false, starts_as_identity = false;
};

// Numbers that are learnt: drawn evenly between `low` and `high`, and as they are used never below `least` or
// above `most`.
struct NumberForm {
  double low = 0, high = 0;
  double least = -kUnbounded, most = kUnbounded;
  static constexpr double kUnbounded = 1e30;
};

class Ops {
 public:
  virtual ~Ops() = default;

  // Names are within "NAME." while it lives.
  class Scope {
   public:
    Scope(Ops& ops, std::string_view name) : scope_(ops.scope_), length_(scope_.size()) {
      scope_.append(name).push_back('.');
    }
    ~Scope() { scope_.resize(length_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    std::string& scope_;
    size_t length_;
  };

  // --- Weights ---
  virtual Value Table(std::string_view name, int rows, int width, Ids ids) = 0;  // [B, T, width]: a row an id
  virtual Value Positions(std::string_view name, int rows, int width) = 0;  // [T, width]: the first T rows
  // [.., out] of [.., in]. Of a larger model's weights the first rows and columns.
  virtual Value Linear(std::string_view name, const Value& x, int out, LinearForm form = {}) = 0;
  virtual Value Norm(std::string_view name,
                     const Value& x) = 0;  // the model's: LayerNorm, or scale and shift alone

  // --- Experts: several blocks in the place of one (encoder/experts.h) ---
  // A learnt row of numbers, [1, width].
  virtual Value Parameter(std::string_view name, int width) = 0;
  virtual Value MeanToken(std::string_view name, const Value& x) = 0;  // of a row's real tokens: [B, c]
  // Of logits [B, E] the softmax of the k largest, zero elsewhere. While a model is trained they are moved by
  // normal noise of deviation softplus(spread) + 0.01, where there is a spread, [B, E]. Shazeer et al., ICLR
  // 2017, equations 3 to 5.
  virtual Value Gates(std::string_view name, const Value& logits, const Value& spread, int k) = 0;
  // Linears are merged while it lives: each is the sum, by the gates [B, E] or [1, E], of as many, whose
  // weights are expert.N.NAME.
  class Merging {
   public:
    Merging(Ops& ops, const Value& gates, int experts) : ops_(ops) { ops.merging_ = {gates, experts}; }
    ~Merging() { ops_.merging_ = {}; }
    Merging(const Merging&) = delete;
    Merging& operator=(const Merging&) = delete;

   private:
    Ops& ops_;
  };
  // Which expert each token goes to: the likeliest, by logits [B, T, E], which are moved by up to `noise`
  // while a model is trained.
  virtual Value Route(std::string_view name, const Value& logits, int experts, double noise) = 0;
  // A state of one row: of x those tokens that go to that expert, [1, n, c].
  virtual Value TokensOfExpert(std::string_view name, const Value& route, const Value& x, int expert) = 0;
  // Back to where x has them: what each expert made of its tokens, times E times its probability.
  virtual Value Together(std::string_view name, const Value& route, const Value& x,
                         const std::vector<Value>& parts) = 0;

  // --- Element by element ---
  virtual Value Apply(std::string_view name, Function function, const Value& x) = 0;
  virtual Value Combine(std::string_view name, Combination how, const Value& a, const Value& b) = 0;
  virtual Value Residual(std::string_view name, const Value& a, const Value& b) = 0;  // a + b, before a norm
  virtual Value Affine(std::string_view name, const Value& x, double factor,
                       double shift) = 0;                                // of all numbers
  virtual Value Drop(const Value& x) = 0;                                // dropout, while a model is trained
  virtual Value MaskPadding(std::string_view name, const Value& x) = 0;  // zero where a token is padding

  // --- Moving ---
  virtual Value Crop(std::string_view name, const Value& x, int width) = 0;  // the first channels
  virtual Value Shift(std::string_view name, const Value& x,
                      int by) = 0;  // token t gets token t + by's; zero beyond
  virtual Value Concat(std::string_view name,
                       const std::vector<Value>& parts) = 0;  // of channels, or of heads' channels
  // Channel (a, b, c) of [n, c / n^2, n] becomes (c, b, a): each of n groups then has as much of every group.
  virtual Value Interleave(std::string_view name, const Value& x, int groups) = 0;
  virtual Value FirstToken(std::string_view name, const Value& x) = 0;  // [B, c]
  // [B, 1, c]: words that look at one token at a time, and queries, go on with it as with a state. Shift,
  // MaskPadding and sums over tokens want all of them (Trace checks).
  virtual Value OnlyFirst(std::string_view name, const Value& x) = 0;

  // --- Attention ---
  virtual Value PaddingBias(
      std::string_view name) = 0;  // what attention adds to scores: -10000 where a key is padding
  enum class Order { kTokensFirst, kChannelsFirst };  // kChannelsFirst: as keys are multiplied with queries
  // [B, H, T, c / H] or [B, H, c / H, T].
  virtual Value SplitHeads(std::string_view name, const Value& x, int heads,
                           Order order = Order::kTokensFirst) = 0;
  virtual Value MergeHeads(std::string_view name, const Value& x) = 0;  // back to [B, T, c]
  // softmax(q k / sqrt(c / H) + bias) v of split heads: [B, H, T, c / H], as many tokens as the queries. One
  // word, so that it may be one kernel. Losses may look at its scores, unless the mixer's other half is no
  // attention: heads could not be told from heads then.
  enum class Scores { kShown, kHidden };
  // `added`: maps (below) that are added to q k / sqrt(c / H), in what losses look at, too; nothing: none.
  virtual Value Attention(const Value& query, const Value& key, const Value& value, const Value& bias,
                          Scores scores = Scores::kShown, const Value& added = {}) = 0;

  // --- Maps: numbers of pairs of tokens, [B, c, queries, T]; B is 1 where all rows have the same ---
  // Apply, Affine, Combine and Divide take maps, too; what has one channel, or numbers that are no pair's
  // (Farthest, Constants, Numbers), they take for all.
  // `queries`: of all tokens, or of the first.
  virtual Value Distances(std::string_view name, Tokens queries) = 0;  // |i - j|: [1, 1, queries, T]
  // From each token to the farthest of its row's own: [B, 1, queries, 1]. Anything where it is padding.
  virtual Value Farthest(std::string_view name, Tokens queries) = 0;
  virtual Value Constants(std::string_view name, const std::vector<double>& values) = 0;  // [1, c, 1, 1]
  virtual Value Numbers(std::string_view name, int count, NumberForm form) = 0;  // learnt; [1, c, 1, 1]
  virtual Value MaskKeys(std::string_view name, const Value& maps) = 0;  // zero where a key is padding
  // Along keys, zeros beyond the ends; `kernel` is odd. The weight is [out, channels kernel], a channel's
  // taps side by side.
  virtual Value KeyConvolution(std::string_view name, const Value& maps, int out, int kernel,
                               LinearForm form = {}) = 0;
  virtual Value Similarities(const Value& query,
                             const Value& key) = 0;  // q k / sqrt(c / H): [B, H, queries, T]
  // softmax(scores + bias) v. Losses look at the scores.
  virtual Value Attend(const Value& scores, const Value& value, const Value& bias) = 0;

  // --- Products of split heads beyond attention ---
  // Sums over tokens of the products of a [B, H, a, T], channels first, and b [B, H, T, b]: [B, H, a, b].
  virtual Value ContractTokens(std::string_view name, const Value& a, const Value& b) = 0;
  virtual Value SumTokens(std::string_view name, const Value& x) = 0;  // of channels first: [B, H, c, 1]
  // x [B, H, T, a] times what the two above return, [B, H, a, b]: [B, H, T, b].
  virtual Value MatMul(std::string_view name, const Value& x, const Value& matrix) = 0;
  virtual Value Divide(std::string_view name, const Value& x, const Value& by) = 0;  // by [B, H, T, 1]

  // --- Other mixing ---
  virtual Value Softmax(std::string_view name, const Value& x) = 0;  // over the last axis of split heads
  // Split heads whose row's real tokens are transformed, zero where a token is padding. The length is the
  // row's own.
  virtual Value Spectrum(std::string_view name, const Value& x, Transform how) = 0;
  // Weighted sums over neighbours, zeros beyond the ends: of token t the sum over j of weights[.., t, j]
  // x[.., t + j - k / 2, :]. weights [B, H, T, k], x [B, H, T, a]. And with weights of each channel's own, of
  // a state: the weight is [c, kernel], no bias.
  virtual Value LocalSum(std::string_view name, const Value& weights, const Value& x, int kernel) = 0;
  virtual Value Depthwise(std::string_view name, const Value& x, int kernel,
                          bool starts_as_identity = false) = 0;
  // From so many taps on a depthwise filter is computed by Fourier transforms: what it costs grows with the
  // row's length, and taps beyond that matter to nothing.
  static constexpr int kLongKernel = 32;

  // Refuses rows of more tokens. Positions does as well.
  virtual void MostTokens(int) {}
  // Losses may look at log(q k), of split heads q [B, H, T, a] and k [B, H, T, a], channels first, no number
  // below 0: a softmax over keys turns it into the shares that attention by such a kernel gives.
  virtual void ShowKernel(const Value& /*query*/, const Value& /*key*/) {}
  virtual void Tap(Tapped what, const Value& x) {}

 protected:
  std::string Full(std::string_view name) const {
    std::string full = scope_;
    return full.append(name);
  }
  struct Merged {
    Value gates;
    int experts = 0;  // 0: linears are their own
  };
  const Merged& merging() const { return merging_; }
  std::string OfExpert(int expert, std::string_view name) const {
    return Full("expert." + std::to_string(expert) + ".").append(name);
  }

 private:
  std::string scope_;
  Merged merging_;
};

}  // namespace thimble::models
