// Linear attention against its definition, a share for every pair of tokens: Katharopoulos et al., ICML 2020,
// equation 4 with the similarity phi(q) phi(k).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

TEST(LinearAttentionTest, IsTheMeanOfValuesBySimilarity) {
  constexpr int kHeads = 2, kHeadWidth = 4;
  const Model model = ShakenModel(
      "vocabulary: 50 positions: 20 hidden: 12 heads: 3 embedding { plain {} } layer { mixer { "
      "linear_attention { "
      "heads: 2 } } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' } }");
  const at::NoGradGuard no_grad;
  const Batch batch = MakeBatch({7, 4});
  const at::Tensor x = DrawnState({2, 7, 12}, 4);
  const at::Tensor got = ComputeMixer(model, 0, model.shape.layers[0].mixer, x, batch, {}).context;
  ASSERT_EQ(got.size(2), kHeads * kHeadWidth);
  const auto part = [&](const std::string& name) {  // [B, T, w]
    return Linear(model, "layer.0.linear_attention." + name, x).to(at::kDouble);
  };
  const at::Tensor query = at::elu(part("query")) + 1, key = at::elu(part("key")) + 1, value = part("value");
  for (int b = 0; b < 2; ++b) {
    const int real = b == 0 ? 7 : 4;
    for (int head = 0; head < kHeads; ++head)
      for (int i = 0; i < real; ++i) {
        const auto of = [&](const at::Tensor& all, int t) {
          return all[b][t].narrow(0, head * kHeadWidth, kHeadWidth);
        };
        at::Tensor sum = at::zeros({kHeadWidth}, at::kDouble);
        double shares = 0;
        for (int j = 0; j < real; ++j) {
          const double share = of(query, i).dot(of(key, j)).item<double>();
          sum += share * of(value, j);
          shares += share;
        }
        EXPECT_LT(Difference(of(got, i), sum / shares), 1e-5) << b << " " << head << " " << i;
      }
  }
}

// Zhang et al., ICLR 2024: shares by phi(q) phi(k), phi(x) = [softmax(W x), softmax(-W x)].
TEST(LinearAttentionTest, LearnsFeatures) {
  constexpr int kHeads = 3, kHeadWidth = 4, kSize = 5;
  const Model model = ShakenModel(
      "vocabulary: 50 positions: 20 hidden: 12 heads: 3 embedding { plain {} } layer { mixer { "
      "linear_attention { "
      "features: SOFTMAX size: 5 } } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' } }");
  const at::NoGradGuard no_grad;
  const Batch batch = MakeBatch({6});
  const at::Tensor x = DrawnState({1, 6, 12}, 4);
  const at::Tensor got = ComputeMixer(model, 0, model.shape.layers[0].mixer, x, batch, {}).context;
  const std::string scope = "layer.0.linear_attention.";
  const auto phi = [&](const std::string& part, int head) {
    const at::Tensor own = Linear(model, scope + part, x)[0].narrow(1, head * kHeadWidth, kHeadWidth);
    const at::Tensor features = own.matmul(
        model.weights.at(scope + "features." + part + ".weight").narrow(0, head * kSize, kSize).t());
    return at::cat({at::softmax(features, -1), at::softmax(-features, -1)}, 1);
  };
  for (int head = 0; head < kHeads; ++head) {
    const at::Tensor shares = phi("query", head).matmul(phi("key", head).t());
    const at::Tensor value = Linear(model, scope + "value", x)[0].narrow(1, head * kHeadWidth, kHeadWidth);
    EXPECT_LT(Difference(got[0].narrow(1, head * kHeadWidth, kHeadWidth),
                         (shares / shares.sum(1, true)).matmul(value)),
              1e-5)
        << head;
  }
}

// What losses see of a kernel is the logarithm of those shares, up to a constant of each query; the context
// is the values' mean by them, padding left out.
TEST(LinearAttentionTest, ShowsItsShares) {
  for (const char* fields : {"", "features: SOFTMAX size: 5"}) {
    SCOPED_TRACE(fields);
    const Model model = ShakenModel(
        std::string("vocabulary: 50 positions: 20 hidden: 12 heads: 3 embedding { plain {} } layer { "
                    "mixer { linear_attention { ") +
        fields + " } } ffn { none {} } }");
    const at::NoGradGuard no_grad;
    const Batch batch = MakeBatch({7, 4});
    const at::Tensor x = DrawnState({2, 7, 12}, 4);
    const proto::Mixer& mixer = model.shape.layers[0].mixer;
    EXPECT_FALSE(ComputeMixer(model, 0, mixer, x, batch, {.attention_logits = true}).kernel_logits.defined());
    const Mixed mixed = ComputeMixer(model, 0, mixer, x, batch, {.kernel_logits = true, .projections = true});
    EXPECT_FALSE(mixed.attention_logits.defined());
    const at::Tensor allowed = batch.mask.view({2, 1, 1, 7});
    const at::Tensor shares = at::softmax(mixed.kernel_logits.masked_fill(allowed == 0, -1e30), -1);
    const at::Tensor value = mixed.projections.value.view({2, 7, 3, 4}).transpose(1, 2);
    const at::Tensor context = shares.matmul(value).transpose(1, 2).flatten(2);
    const at::Tensor real = batch.mask.unsqueeze(-1);
    EXPECT_LT(Difference(context * real, mixed.context * real), 1e-4);
  }
}

TEST(LinearAttentionTest, CostsInProportionToTheLength) {
  const auto shape = [](const std::string& mixer) {
    return Resolve(Architecture("hidden: 12 heads: 3 embedding { plain {} } layer { mixer { " + mixer +
                                " {} } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' } }"));
  };
  const ResolvedArchitecture linear = shape("linear_attention"), full = shape("self_attention");
  const auto cost = [](const ResolvedArchitecture& of, int length) {
    return MultiplyAdds(of, length, TaskHead::kTokens);
  };
  EXPECT_EQ(cost(linear, 200), 2 * cost(linear, 100));
  EXPECT_GT(cost(full, 200), 2 * cost(full, 100));
  EXPECT_EQ(DeployedParameters(linear, 2), DeployedParameters(full, 2));
}

}  // namespace
}  // namespace thimble::models
