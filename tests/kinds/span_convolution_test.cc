// Span-based dynamic convolution against its definition, a token and a head at a time. Jiang et al., NeurIPS
// 2020, equation 4.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "models/encoder/resolve.h"
#include "models/hub/safetensors.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

constexpr int kHeadWidth = 3, kKernel = 3;

std::string Text(const std::string& fields) {
  return "vocabulary: 50 positions: 20 hidden: 12 heads: 4 embedding { plain {} } layer { mixer { "
         "span_convolution { " +
         fields + " } } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' } }";
}

TEST(SpanConvolutionTest, WeighsNeighboursByQueryAndSurroundings) {
  for (const bool attention : {true, false}) {
    const Model model =
        ShakenModel(Text("kernel: 3 attention: " + std::string(attention ? "true" : "false")));
    const at::NoGradGuard no_grad;
    const Batch batch = MakeBatch({7, 4});
    const at::Tensor x = DrawnState({2, 7, 12}, 4);
    const at::Tensor got = ComputeMixer(model, 0, model.shape.layers[0].mixer, x, batch, {}).context;
    const int heads = attention ? 2 : 4, width = heads * kHeadWidth;
    ASSERT_EQ(got.size(2), 12);
    const std::string scope = "layer.0.span_convolution.";
    const at::Tensor query = Linear(model, scope + "query", x),
                     value = Linear(model, scope + "span.value", x);
    const at::Tensor depthwise = model.weights.at(scope + "span.neighbours.weight");  // [12, 3]
    for (int b = 0; b < 2; ++b) {
      const int real = b == 0 ? 7 : 4;
      for (int t = 0; t < real; ++t) {
        at::Tensor around = at::zeros({12});
        for (int j = 0; j < kKernel; ++j)
          if (t + j >= 1 && t + j - 1 < real) around += depthwise.select(1, j) * x[b][t + j - 1];
        const at::Tensor key = Linear(model, scope + "span.key", around.unsqueeze(0))[0];
        const at::Tensor logits = Linear(model, scope + "span.kernel", (key * query[b][t]).unsqueeze(0))[0];
        for (int head = 0; head < heads; ++head) {
          const at::Tensor weights = at::softmax(logits.narrow(0, head * kKernel, kKernel), 0);
          at::Tensor sum = at::zeros({kHeadWidth});
          for (int j = 0; j < kKernel; ++j)
            if (t + j >= 1 && t + j - 1 < real)
              sum += weights[j] * value[b][t + j - 1].narrow(0, head * kHeadWidth, kHeadWidth);
          const int64_t first = (attention ? width : 0) + head * kHeadWidth;
          EXPECT_LT(Difference(got[b][t].narrow(0, first, kHeadWidth), sum), 1e-5)
              << attention << b << t << head;
        }
      }
    }
  }
}

// tests/golden/convbert.py: ConvBertModel of transformers, two layers, rows without padding.
TEST(SpanConvolutionTest, IsThatOfConvBert) {
  const auto tensors = ReadSafetensors(THIMBLE_SOURCE_DIR "/tests/golden/convbert.safetensors").tensors;
  const std::string layer =
      "layer { mixer { span_convolution { kernel: 3 } } ffn { expression: "
      "'linear(gelu_erf(linear(x,wb1)),wb2)' } } ";
  Model model = MakeModel(
      Architecture("vocabulary: 30 positions: 16 hidden: 8 heads: 4 ffn_hidden: 12 embedding { plain {} } " +
                   layer + layer),
      0, 0, Random(1));
  for (const auto& [name, tensor] : Weights(model.weights)) {
    ASSERT_EQ(tensor.sizes(), tensors.at(name).sizes()) << name;
    model.weights.at(name) = tensors.at(name);
  }
  const at::NoGradGuard no_grad;
  const at::Tensor ids = tensors.at("ids");
  const Batch rows{
      .ids = ids, .segments = tensors.at("segments"), .mask = at::ones_like(MakeBatch({9, 9}).mask)};
  EXPECT_LT(Difference(Forward(model, rows).last_hidden_state, tensors.at("last")), 1e-5);
}

// Heads that attend cannot be told from a teacher's: losses are not shown their scores.
TEST(SpanConvolutionTest, ShowsLossesNothing) {
  const ResolvedArchitecture shape = Resolve(Architecture(Text("")));
  EXPECT_EQ(SizeOf(shape, shape.layers[0].mixer).heads, 0);
  EXPECT_FALSE(SizeOf(shape, shape.layers[0].mixer).projections);
}

TEST(SpanConvolutionTest, RefusesKernelsWithoutAMiddleAndOddHeads) {
  EXPECT_THROW(Resolve(Architecture(Text("kernel: 4"))), Error);
  EXPECT_THROW(Resolve(Architecture(Text("heads: 3"))), Error);
  EXPECT_NO_THROW(Resolve(Architecture(Text("heads: 3 attention: false"))));
}

}  // namespace
}  // namespace thimble::models
