// Reads the walk without a tensor: which weights there are and who reads what (what a graph in eight bits
// shares), and what it all costs.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "models/arch/head.h"
#include "models/encoder/ops.h"

namespace thimble::models {

struct WeightShape {
  std::string name;
  std::vector<int64_t> sizes;
  LinearForm form = {};     // of a matrix and its bias
  NumberForm numbers = {};  // of Ops::Numbers
};

class Trace final : public Ops {
  // Of how many tokens a value is: all of a row; one; or those of a further expert, which are counted with
  // the first one's, as each token goes to one.
  enum class Of { kAll, kFirst, kFurther };
  // What several values may share: a crop is a part of what it is taken from.
  struct Memory;
  struct Traced {
    std::shared_ptr<Memory> memory;
    int64_t width = 0;
    int heads = 0;
    Of tokens = Of::kAll;
    enum What { kNumbers, kState, kMaps } what = kState;
    bool of_all_rows = false;  // maps that all rows have alike: held once, next to nothing
    bool constant = false;     // whatever the row
  };

 public:
  // Without names weights are counted but not listed: four times as fast.
  enum class Names { kKept, kLeftOut };
  // `statistics`: numbers a token that the model's norm keeps for its way back: 2 of a LayerNorm (mean,
  // deviation).
  explicit Trace(Names names, int statistics = 2) : named_(names == Names::kKept), statistics_(statistics) {}

  struct Reader {
    std::string name;
    int input = 0;  // equal for those that read the same state
  };
  struct Cost {
    int64_t parameters = 0, tensors = 0, nodes = 0;  // nodes of an ONNX graph, about
    // Multiply-adds: once a row, a token, a pair of tokens.
    int64_t row_products = 0, token_products = 0, pair_products = 0;
    int64_t linears = 0, matrices = 0, outputs = 0,
            inputs = 0;  // of linears: their numbers; inputs read by several once
    int64_t alive = 0,
            most_alive = 0;  // channels a token of states held at once, without gradients; now, at most. One
                             // token's channels are next to nothing beside all tokens'
    int64_t alive_maps = 0;  // channels a pair of tokens, likewise
    std::vector<std::pair<int64_t, int64_t>> peaks;  // of both, at moments when maps were alive
    int64_t kept = 0;         // channels a token that the way back of a training step reads, of all tokens
    int64_t kept_shares = 0;  // likewise numbers a pair of tokens
    int64_t kept_rows = 0;    // likewise numbers a row
    int64_t folded = 0;       // of the parameters those that an ONNX file has no need of
  };
  // What a mixer lets losses look at (Ops::Attention, ShowKernel, Tap): maps of attention scores, or of a
  // kernel's logarithm, one a head; and queries, keys and values.
  struct Taps {
    int heads = 0, kernel_heads = 0;
    bool projections = false;
  };
  const Taps& taps() const { return taps_; }
  static int64_t Width(const Value& x) { return x.as<Traced>().width; }

  const Cost& cost() const { return *cost_; }
  const std::vector<WeightShape>& weights() const { return weights_; }
  const std::vector<Reader>& linears() const { return linears_; }

  Value State(int width);     // one that comes from elsewhere
  void Keep(const Value& x);  // the way back reads it

  Value Table(std::string_view name, int rows, int width, Ids ids) override;
  Value Positions(std::string_view name, int rows, int width) override;
  Value Linear(std::string_view name, const Value& x, int out, LinearForm form) override;
  Value Norm(std::string_view name, const Value& x) override;
  Value Apply(std::string_view name, Function function, const Value& x) override;
  Value Combine(std::string_view name, Combination how, const Value& a, const Value& b) override;
  Value Residual(std::string_view name, const Value& a, const Value& b) override;
  Value Affine(std::string_view name, const Value& x, double factor, double shift) override;
  Value Drop(const Value& x) override { return x; }
  Value MaskPadding(std::string_view name, const Value& x) override;
  Value Crop(std::string_view name, const Value& x, int width) override;
  Value Shift(std::string_view name, const Value& x, int by) override;
  Value Concat(std::string_view name, const std::vector<Value>& parts) override;
  Value Parameter(std::string_view name, int width) override;
  Value MeanToken(std::string_view name, const Value& x) override;
  Value Gates(std::string_view name, const Value& logits, const Value& spread, int k) override;
  Value Route(std::string_view name, const Value& logits, int experts, double noise) override;
  Value TokensOfExpert(std::string_view name, const Value& route, const Value& x, int expert) override;
  Value Together(std::string_view name, const Value& route, const Value& x,
                 const std::vector<Value>& parts) override;
  Value Interleave(std::string_view name, const Value& x, int groups) override;
  Value FirstToken(std::string_view name, const Value& x) override;
  Value OnlyFirst(std::string_view name, const Value& x) override;
  Value PaddingBias(std::string_view name) override;
  Value SplitHeads(std::string_view name, const Value& x, int heads, Order order) override;
  Value MergeHeads(std::string_view name, const Value& x) override;
  Value Attention(const Value& query, const Value& key, const Value& value, const Value& bias, Scores shown,
                  const Value& added) override;
  Value Distances(std::string_view name, Tokens queries) override;
  Value Farthest(std::string_view name, Tokens queries) override;
  Value Constants(std::string_view name, const std::vector<double>& values) override;
  Value Numbers(std::string_view name, int count, NumberForm form) override;
  Value MaskKeys(std::string_view name, const Value& maps) override;
  Value KeyConvolution(std::string_view name, const Value& maps, int out, int kernel,
                       LinearForm form) override;
  Value Similarities(const Value& query, const Value& key) override;
  Value Attend(const Value& scores, const Value& value, const Value& bias) override;
  Value ContractTokens(std::string_view name, const Value& a, const Value& b) override;
  Value SumTokens(std::string_view name, const Value& x) override;
  Value MatMul(std::string_view name, const Value& x, const Value& matrix) override;
  Value Divide(std::string_view name, const Value& x, const Value& by) override;
  Value Softmax(std::string_view name, const Value& x) override;
  Value Spectrum(std::string_view name, const Value& x, Transform how) override;
  Value LocalSum(std::string_view name, const Value& weights, const Value& x, int kernel) override;
  Value Depthwise(std::string_view name, const Value& x, int kernel, bool starts_as_identity) override;
  void ShowKernel(const Value& query, const Value&) override {
    taps_.kernel_heads += query.as<Traced>().heads;
  }
  void Tap(Tapped what, const Value&) override { taps_.projections |= what != Tapped::kMixed; }

 private:
  static Of As(Tokens tokens) { return tokens == Tokens::kAll ? Of::kAll : Of::kFirst; }
  static Of TokensOf(const Value& x) { return x.as<Traced>().tokens; }
  static void WantAll(const Value& x);         // CHECK
  Value Both(const Value& a, const Value& b);  // element by element. CHECK: of as many tokens
  void Multiply(Of tokens, int64_t products);
  Value New(int64_t width, int64_t nodes, Of tokens = Of::kAll);
  Value NewMaps(int64_t width, int64_t nodes, Of queries, bool of_all_rows);
  Value Like(const Value& x, int64_t width, int64_t nodes);  // a state or maps, as x
  Value MergedLinear(std::string_view name, const Value& x, int out, LinearForm form);
  static Value Part(const Value& x, int64_t width, int heads = 0);
  void Weight(std::string_view name, std::string_view part, std::vector<int64_t> sizes, LinearForm form = {});

  const bool named_;
  const int statistics_;
  std::shared_ptr<Cost> cost_ = std::make_shared<Cost>();  // shared with values, which may outlive the trace
  std::vector<WeightShape> weights_;
  std::vector<Reader> linears_;
  std::set<int> read_by_linears_;
  Taps taps_;
  int values_ = 0;
};

}  // namespace thimble::models
