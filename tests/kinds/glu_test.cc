// A gated block begins as the block without its gate, also where the sliced start made it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

std::string Text(const std::string& ffn) {
  return std::string(kPlain) + " layer { mixer { self_attention {} } ffn { " + ffn + " } }";
}

TEST(GluTest, StartsAsTheBlockWithoutAGate) {
  const std::pair<const char*, const char*> pairs[] = {
      {"GELU", "gelu"}, {"BERT", "gelu_erf"}, {"SwiGLU", "swish"}};
  for (const auto& [name, activation] : pairs) {
    const Model gated =
        MakeModel(Architecture(Text("glu { activation: " + std::string(activation) + " }")), 3, 0, Random(5));
    const Model plain = MakeModel(
        Architecture(Text("expression: 'linear(" + std::string(activation) + "(linear(x,wb1)),wb2)'")), 3, 0,
        Random(5));
    const at::NoGradGuard no_grad;
    const Batch batch = MakeBatch({5, 8});
    EXPECT_TRUE(at::equal(Forward(gated, batch).logits, Forward(plain, batch).logits)) << name;
  }
}

TEST(GluTest, IsTheProductOfTwoLinears) {
  const Model model = ShakenModel(Text("glu { activation: swish } ratio: '1/2'"));
  const at::NoGradGuard no_grad;
  const at::Tensor x = DrawnState({4, 12}, 3);
  const auto linear = [&](const std::string& name, const at::Tensor& in) {
    return Linear(model, "layer.0.ffn.0." + name, in);
  };
  const at::Tensor up = linear("up", x);
  EXPECT_LT(Difference(FeedForwardValue(model, 0, 0, model.shape.layers[0], x),
                       linear("down", up * at::sigmoid(up) * linear("gate", x))),
            1e-5);
}

}  // namespace
}  // namespace thimble::models
