// The gated long convolution against sums over pairs of tokens, written anew.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "models/crop.h"
#include "models/encoder/resolve.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

std::string Text(const std::string& fields, int positions = 20) {
  return "vocabulary: 50 positions: " + std::to_string(positions) +
         " hidden: 6 heads: 2 embedding { plain {} } layer { mixer { long_convolution { " + fields +
         " } } ffn { none {} } }";
}

// Of x [T, c] by a filter [c, k] whose middle tap is the token itself.
at::Tensor Convolved(const at::Tensor& x, const at::Tensor& filter) {
  at::Tensor sum = at::zeros_like(x);
  for (int64_t t = 0; t < x.size(0); ++t)
    for (int64_t s = 0; s < x.size(0); ++s) {
      const int64_t tap = s - t + filter.size(1) / 2;
      if (tap >= 0 && tap < filter.size(1)) sum[t] += filter.select(1, tap) * x[s];
    }
  return sum;
}

// Rows of 7 and 4 tokens; the latter's padding is not there for it.
TEST(LongConvolutionTest, IsAGatedSumOverAllTokens) {
  // Filters as long as the row and beyond (39 taps), shorter ones computed by transforms, too (35), and those
  // that are not (9, which some tokens of the row of 7 are beyond).
  for (const char* fields : {"", "residual_filter: true", "reach: 18", "reach: 5 short_kernel: 5",
                             "reach: 2 residual_filter: true short_kernel: 1"}) {
    SCOPED_TRACE(fields);
    const Model model = ShakenModel(Text(fields));
    const at::NoGradGuard no_grad;
    const Batch batch = MakeBatch({7, 4});
    const at::Tensor x = EmbeddingSum(model, batch);
    const auto mixed = ComputeMixer(model, 0, model.shape.layers[0].mixer, x, batch, {});
    for (int64_t row = 0; row < 2; ++row) {
      const auto weight = [&](const std::string& name) {
        return model.weights.at("layer.0.long_convolution." + name + ".weight").to(at::kDouble);
      };
      const int64_t length = batch.mask[row].sum().item<int64_t>();
      const at::Tensor in = x[row].narrow(0, 0, length).to(at::kDouble);
      const auto part = [&](const std::string& name) {
        const at::Tensor bias =
            model.weights.at("layer.0.long_convolution." + name + ".bias").to(at::kDouble);
        return Convolved(in.matmul(weight(name).t()) + bias, weight(name + ".short"));
      };
      at::Tensor expected = Convolved(part("gate_in") * part("value"), weight("filter")) * part("gate_out");
      if (model.weights.Has("layer.0.long_convolution.residual_filter.weight"))
        expected = expected + Convolved(in, weight("residual_filter"));
      EXPECT_GT(expected.abs().max().item<double>(), 0.01);
      EXPECT_LT(
          (mixed.context[row].narrow(0, 0, length).to(at::kDouble) - expected).abs().max().item<double>(),
          1e-5 * (1 + expected.abs().max().item<double>()));
    }
  }
}

// A new one hands a token's value on: gates are one, filters look at the token alone.
TEST(LongConvolutionTest, StartsAsTheTokensOwnValue) {
  const Model model = MakeModel(Architecture(Text("")), 0, 0, Random(3));
  const at::NoGradGuard no_grad;
  const Batch batch = MakeBatch({9});
  const at::Tensor x = EmbeddingSum(model, batch);
  const auto mixed = ComputeMixer(model, 0, model.shape.layers[0].mixer, x, batch, {});
  EXPECT_LT(Difference(mixed.context, Linear(model, "layer.0.long_convolution.value", x)), 1e-6);
}

// A model for shorter rows has the middle of the filters: on these rows it computes the same.
TEST(LongConvolutionTest, ACropForShorterRowsComputesTheSame) {
  const Model larger = ShakenModel(Text("", 40));
  const Model smaller = CropFrom(larger, Architecture(Text("", 20)), {});
  const at::NoGradGuard no_grad;
  EXPECT_EQ(smaller.weights.at("layer.0.long_convolution.filter.weight").size(1), 39);
  const Batch batch = MakeBatch({11, 20});
  EXPECT_LT(Difference(Forward(larger, batch).last_hidden_state, Forward(smaller, batch).last_hidden_state),
            1e-5);
}

TEST(LongConvolutionTest, RefusesKernelsWithoutAMiddleAndReachBeyondTheLongestRow) {
  EXPECT_THROW(Resolve(Architecture(Text("short_kernel: 4"))), Error);
  EXPECT_THROW(Resolve(Architecture(Text("reach: 21"))), Error);
  EXPECT_NO_THROW(Resolve(Architecture(Text("reach: 20"))));
}

}  // namespace
}  // namespace thimble::models
