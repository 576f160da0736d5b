// Gradients against central differences in double precision.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "models/encoder/resolve.h"
#include "models/torch/kernels/dropout.h"
#include "tests/models/differences.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

at::Tensor RandomInput(at::IntArrayRef sizes, uint64_t seed) {
  Random random(seed);
  at::Tensor x = at::empty(sizes, at::kDouble);
  double* values = x.mutable_data_ptr<double>();
  for (int64_t i = 0; i < x.numel(); ++i) values[i] = random.Normal();
  return x;
}

// One thread: the models are so small that threads only wait for one another.
class GradientTest : public ::testing::Test {
 protected:
  GradientTest() : threads_(at::get_num_threads()) { at::set_num_threads(1); }
  ~GradientTest() override { at::set_num_threads(threads_); }

 private:
  int threads_;
};

// Every operator, where both operands are as wide and where one is cut, seen through a candidate's view.
TEST_F(GradientTest, FeedForwardOperators) {
  std::vector<std::string> expressions;
  for (const Operator each : Catalogue()) {
    const std::string op(OperatorName(each));
    if (IsUnary(each)) {
      expressions.push_back("linear(" + op + "(linear(x,wb1)),wb2)");
      expressions.push_back(op + "(linear(tanh(linear(x,wb1)),wb2))");
    } else {
      expressions.push_back("linear(" + op + "(linear(x,wb1),x),wb2)");
      expressions.push_back(op + "(x,linear(gelu(linear(x,wb1)),wb2))");
      expressions.push_back("linear(relu(linear(" + op + "(x,tanh(x)),wb1)),wb2)");
    }
  }
  for (const std::string& expression : expressions) {
    Model model = ShakenModel(std::string(kPlain) + LayerText(kGeluBlock));
    MakeDouble(&model);
    model.weights.RequireGrad(true);
    const ResolvedArchitecture shape =
        Resolve(Architecture(std::string(kPlain) + LayerText(expression, 1, "1/2")));
    const at::Tensor x = RandomInput({2, 3, 12}, 5).set_requires_grad(true);
    const at::Tensor direction = RandomInput({2, 3, 12}, 6);
    auto f = [&] { return (FeedForwardValue(model, 0, 0, shape.layers[0], x) * direction).sum(); };
    CheckGradient(f, x, expression + " x", 4);
    for (const char* name : {"up.weight", "up.bias", "down.weight", "down.bias"}) {
      CheckGradient(f, model.weights.at("layer.0.ffn.0." + std::string(name)), expression + " " + name, 4);
    }
  }
}

TEST_F(GradientTest, WholeModel) {
  for (const char* head : {kTrigram, kFactorised, kPlain, kShared, kNarrow}) {
    for (const double probability : {0.0, 0.2}) {
      Model model = ShakenModel(std::string(head) +
                                LayerText("linear(gelu(linear(max(x,tanh(x)),wb1)),wb2)", 2, "1/2") +
                                LayerText("elu(linear(mul(linear(x,wb1),x),wb2))", 1, "1/3"));
      MakeDouble(&model);
      model.weights.RequireGrad(true);
      const Batch batch = MakeBatch({4, 6});
      const at::Tensor mask = batch.mask.to(at::kDouble);
      for (const bool scores : probability > 0 ? std::vector<bool>{true} : std::vector<bool>{true, false}) {
        auto f = [&] {
          Random random(9);
          ForwardOptions options;
          options.hidden_states = true;
          options.attention_logits = scores;
          options.dropout = {probability, &random};
          const Outputs outputs = Forward(model, batch, options);
          at::Tensor sum = outputs.logits.sin().sum();
          for (const at::Tensor& hidden : outputs.hidden_states)
            sum = sum + (hidden.tanh() * mask.unsqueeze(-1)).sum();
          for (const at::Tensor& score : outputs.attention_logits) {
            sum = sum + (score.tanh() * mask.view({2, 1, 1, 6}) * mask.view({2, 1, 6, 1})).sum();
          }
          return sum;
        };
        for (const auto& [name, tensor] : model.weights) CheckGradient(f, tensor, name, 1);
      }
    }
  }
}

TEST_F(GradientTest, Dropout) {
  const at::Tensor x = RandomInput({5, 7}, 1).set_requires_grad(true);
  auto f = [&] { return kernels::Dropout(x.t(), 0.4, 77).sin().sum(); };
  CheckGradient(f, x, "dropout", 20);
}

}  // namespace
}  // namespace thimble::models
