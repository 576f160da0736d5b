// Blocks with groups, Monarch matrices and experts against their definitions: tests/golden/structures.py.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "models/encoder/encoder.h"
#include "models/encoder/resolve.h"
#include "models/hub/safetensors.h"
#include "models/torch/torch_ops.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

std::string Text(const std::string& ffn, int hidden = 12) {
  return "vocabulary: 50 positions: 20 hidden: " + std::to_string(hidden) +
         " heads: 3 embedding { plain {} } layer { mixer { self_attention {} } ffn { " + ffn + " } }";
}

at::Tensor Value0(const Model& model, const Batch& batch, const at::Tensor& x,
                  const ForwardOptions& options = {}) {
  TorchOps ops(model, batch, options);
  return TorchOps::In(FeedForward(model.shape, 0, 0, model.shape.layers[0], TorchOps::Of(x), ops));
}

struct Golden {
  const char *name, *ffn;
  int hidden;
};

class StructureTest : public testing::TestWithParam<Golden> {};

TEST_P(StructureTest, IsItsDefinition) {
  const auto [name, ffn, hidden] = GetParam();
  const auto tensors = ReadSafetensors(THIMBLE_SOURCE_DIR "/tests/golden/structures.safetensors").tensors;
  const std::string prefix = std::string(name) + ".";
  Model model = MakeModel(Architecture(Text(ffn, hidden)), 3, 0, Random(1));
  size_t given = 0;
  const std::string block = "layer.0.ffn.0.";
  for (const auto& [weight, tensor] : model.weights) {
    if (!weight.starts_with(block) || weight.starts_with(block + "norm")) continue;
    ASSERT_TRUE(tensors.Has(prefix + weight)) << weight;
    ASSERT_EQ(tensors.at(prefix + weight).sizes(), tensor.sizes()) << weight;
    model.weights.at(weight) = tensors.at(prefix + weight);
    ++given;
  }
  EXPECT_GE(given, 4u);
  const at::NoGradGuard no_grad;
  Batch batch;
  batch.mask = tensors.at(prefix + "mask");
  const at::Tensor got = Value0(model, batch, tensors.at(prefix + "x"));
  const at::Tensor want = tensors.at(prefix + "f");
  EXPECT_GT(want.std().item<double>(), 0.1);
  EXPECT_LT(Difference(got, want), 1e-5);
}

const Golden kGoldens[] = {
    {"groups", "glu { activation: swish } ratio: '1/2' groups: 3", 12},
    {"monarch", "mlp { activation: relu } width: 8 groups: 2 monarch: true", 12},
    {"routed", "expression: 'linear(gelu(linear(x,wb1)),wb2)' width: 5 routed { count: 3 shared: 4 }", 6},
    {"merged", "glu {} width: 5 merged { count: 3 k: 2 level: TOKEN }", 6}};
INSTANTIATE_TEST_SUITE_P(Goldens, StructureTest, testing::ValuesIn(kGoldens),
                         [](const auto& of) { return std::string(of.param.name); });

// Each expert of `model` gets the dense model's block.
Model WithEqualExperts(const Model& dense, const std::string& text) {
  Model model = ShakenModel(text);
  for (const auto& [name, tensor] : model.weights) {
    std::string plain = name;
    const size_t at = name.find("expert.");
    if (at != std::string::npos) plain.erase(at, std::string("expert.0.").size());
    if (dense.weights.Has(plain)) model.weights.at(name) = dense.weights.at(plain);
  }
  return model;
}

TEST(ExpertsTest, EqualOnesAreTheDenseBlock) {
  const std::string glu = "glu { activation: swish } ratio: '1/2'";
  const Model dense = ShakenModel(Text(glu));
  const Batch batch = MakeBatch({6, 9});
  const at::NoGradGuard no_grad;
  const at::Tensor want = Forward(dense, batch).logits;
  Model routed = WithEqualExperts(dense, Text(glu + " routed { count: 4 }"));
  routed.weights.at("layer.0.ffn.0.router.weight").zero_();
  routed.weights.at("layer.0.ffn.0.router.bias").zero_();
  EXPECT_LT(Difference(Forward(routed, batch).logits, want), 1e-6);
  for (const char* level : {"SEQUENCE", "TASK"}) {
    const std::string text = Text(glu + " merged { count: 3 k: 2 level: " + level + " }");
    EXPECT_LT(Difference(Forward(WithEqualExperts(dense, text), batch).logits, want), 1e-5) << level;
  }
}

// As routed blocks are at the beginning of training: noise moves some tokens, evaluation none.
TEST(ExpertsTest, NoiseIsOfTheTrainingStream) {
  const std::string glu = "glu {} ratio: '1/2'";
  for (const std::string& experts : {"routed { count: 4 noise: 3 }", "merged { count: 4 k: 2 }"}) {
    const Model model = ShakenModel(Text(glu + " " + experts));
    const Batch batch = MakeBatch({9, 9, 9});
    const at::NoGradGuard no_grad;
    const auto pass = [&](uint64_t seed) {
      Random random(seed);
      ForwardOptions options;
      options.dropout = {0, &random};
      return Forward(model, batch, options).logits;
    };
    EXPECT_TRUE(at::equal(pass(1), pass(1)));
    EXPECT_FALSE(at::equal(pass(1), pass(2)));
    EXPECT_FALSE(at::equal(pass(1), Forward(model, batch).logits));
  }
}

TEST(ExpertsTest, RoutingIsReturned) {
  const Model model = ShakenModel(Text("glu {} ratio: '1/2' stacks: 2 routed { count: 3 }"));
  const at::NoGradGuard no_grad;
  const Outputs outputs = Forward(model, MakeBatch({5, 8}), {.routing = true});
  ASSERT_EQ(outputs.routing.size(), 1u);
  EXPECT_EQ(outputs.routing[0].sizes(), at::IntArrayRef({2, 2, 8, 3}));
  EXPECT_LT(Difference(outputs.routing[0].sum(-1), at::ones({2, 2, 8})), 1e-6);
}

TEST(StructureChecksTest, WhatDoesNotGoTogetherIsRefused) {
  const std::pair<const char*, const char*> wrong[] = {
      {"mlp {} groups: 5", "groups do not divide"},
      {"mlp {} width: 9 groups: 2", "groups do not divide the block's width 9"},
      {"mlp {} monarch: true", "a Monarch matrix has blocks"},
      {"mlp {} width: 6 groups: 2 monarch: true", "the square of a Monarch matrix's blocks divides"},
      {"mlp {} groups: 2 merged {}", "weights that are merged are whole"},
      {"mlp {} merged { count: 2 k: 3 }", "more gates than experts"},
      {"none {} routed {}", "there is no block to be an expert"},
      {"none {} groups: 2", "there is no block to be grouped"},
      {"mlp {} groups: 2 routed { shared: 3 }", "groups do not divide the block's width 3"}};
  for (const auto& [ffn, problem] : wrong) {
    try {
      Resolve(Architecture(Text(ffn)));
      ADD_FAILURE() << ffn << " was taken";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(problem)) << ffn;
    }
  }
}

}  // namespace
}  // namespace thimble::models
