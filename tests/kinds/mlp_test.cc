// Hidden linears in a row against their definition; the mixers that are controls; similarity by a matrix.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

TEST(MlpTest, IsLinearsInARow) {
  const Model model = ShakenModel(std::string(kPlain) +
                                  " layer { mixer { self_attention {} } ffn { mlp { hidden_layers: 3 "
                                  "activation: relu } ratio: '1/2' } }");
  const at::NoGradGuard no_grad;
  const at::Tensor x = DrawnState({4, 12}, 3);
  const auto linear = [&](const std::string& name, const at::Tensor& in) {
    return Linear(model, "layer.0.ffn.0." + name, in);
  };
  const at::Tensor hidden =
      at::relu(linear("hidden.1", at::relu(linear("hidden.0", at::relu(linear("up", x))))));
  EXPECT_LT(Difference(FeedForwardValue(model, 0, 0, model.shape.layers[0], x), linear("down", hidden)),
            1e-5);
  EXPECT_FALSE(model.weights.Has("layer.0.ffn.0.hidden.2.weight"));
}

TEST(UniformAttentionTest, IsTheMeanOfRealTokens) {
  const Model model =
      ShakenModel(std::string(kPlain) + " layer { mixer { uniform_attention {} } ffn { mlp {} } }");
  const at::NoGradGuard no_grad;
  const at::Tensor x = DrawnState({2, 7, 12}, 3);
  const Batch batch = MakeBatch({7, 4});
  const at::Tensor got = ComputeMixer(model, 0, model.shape.layers[0].mixer, x, batch, {}).context;
  for (int b = 0; b < 2; ++b) {
    const at::Tensor mean =
        Linear(model, "layer.0.uniform_attention.value", x[b].narrow(0, 0, b == 0 ? 7 : 4)).mean(0);
    for (int t = 0; t < 7; ++t) EXPECT_LT(Difference(got[b][t], mean), 1e-5) << b << t;
  }
}

TEST(SimilarityTest, IsAMatrixOfEachHead) {
  const std::string text =
      "vocabulary: 50 positions: 20 hidden: 12 heads: 3 embedding { plain {} } layer { mixer { "
      "self_attention { "
      "similarity: BILINEAR } } ffn { mlp {} } }";
  const Model model = ShakenModel(text);
  const at::NoGradGuard no_grad;
  const at::Tensor x = DrawnState({1, 5, 12}, 3);
  const Batch batch = MakeBatch({5});
  const at::Tensor got = ComputeMixer(model, 0, model.shape.layers[0].mixer, x, batch, {}).context;
  const auto part = [&](const std::string& name, int head) {
    return Linear(model, "layer.0.attention." + name, x)[0].narrow(1, head * 4, 4);
  };
  for (int head = 0; head < 3; ++head) {
    const at::Tensor matrix =
        model.weights.at("layer.0.attention.similarity.weight").narrow(0, head * 4, 4);  // [out, in]
    const at::Tensor scores = part("query", head).matmul(matrix.t()).matmul(part("key", head).t()) / 2;
    EXPECT_LT(Difference(got[0].narrow(1, head * 4, 4), at::softmax(scores, -1).matmul(part("value", head))),
              1e-5)
        << head;
  }
}

}  // namespace
}  // namespace thimble::models
