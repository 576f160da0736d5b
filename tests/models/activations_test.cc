// Every accepted value of "hidden_act" is what transformers computes under that name:
// tests/golden/activations.py.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "models/encoder/bert.h"
#include "models/hub/hugging_face.h"
#include "models/model.h"
#include "models/torch/torch_ops.h"

namespace thimble::models {
namespace {

TEST(ActivationsTest, ComputeWhatTransformersDoes) {
  const auto golden = nlohmann::json::parse(ReadFile(THIMBLE_SOURCE_DIR "/tests/golden/activations.json"));
  const auto inputs = golden["inputs"].get<std::vector<double>>();
  const auto number = static_cast<int64_t>(inputs.size());
  const at::Tensor x = at::from_blob(const_cast<double*>(inputs.data()), {number}, at::kDouble);
  std::string accepted;
  for (const auto& [name, outputs] : golden["outputs"].items()) {
    const std::string text = ExpressionOfActivation(name);
    ASSERT_FALSE(text.empty()) << name;
    const auto expression = Expression::Parse(text);
    ASSERT_EQ(expression.nodes().size(), 4u) << text;  // x, a linear, the activation, a linear
    const auto wanted = outputs.get<std::vector<double>>();
    const Model model;
    const Batch batch;
    const ForwardOptions options;
    TorchOps ops(model, batch, options);
    const at::Tensor y = TorchOps::In(UnaryOf(expression.nodes()[2].op).form("", TorchOps::Of(x), ops));
    for (int64_t i = 0; i < number; ++i)
      EXPECT_NEAR(y[i].item<double>(), wanted[i], 1e-9) << name << " of " << inputs[i];
  }
  // No name is accepted without numbers.
  size_t names = 1;
  for (const char c : AcceptedActivations()) names += c == ',' ? 1 : 0;
  EXPECT_EQ(names, golden["outputs"].size());
}

}  // namespace
}  // namespace thimble::models
