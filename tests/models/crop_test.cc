#include "models/crop.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kOther = "linear(relu(linear(x,wb1)),wb2)";

std::string Wide(const std::string& embedding, int layers, const std::string& more = "") {
  std::string text =
      "vocabulary: 50 positions: 20 hidden: 12 heads: 3 embedding { " + embedding + " } " + more;
  for (int i = 0; i < layers; ++i) text += LayerText(i % 2 ? kOther : kGeluBlock, 2);
  return text;
}
std::string Thin(const std::string& embedding, int layers, int hidden = 6, const std::string& more = "") {
  std::string text = "vocabulary: 50 positions: 20 hidden: " + std::to_string(hidden) +
                     " heads: 3 embedding { " + embedding + " } " + more;
  for (int i = 0; i < layers; ++i) text += LayerText(i % 2 ? kOther : kGeluBlock, 2);
  return text;
}
const std::string kNarrowTokens = "trigram { width: 5 }";

bool Equal(const at::Tensor& a, const at::Tensor& b) { return at::equal(a, b); }

std::string Refusal(const Model& larger, const std::string& student, const CropRules& rules = {}) {
  try {
    CropFrom(larger, Architecture(student), rules);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadRequest);
    return error.what();
  }
  return "accepted";
}

TEST(CropTest, LayersByRule) {
  const auto all = [](LayerRule rule, int student, int larger) {
    std::vector<std::vector<int>> layers;
    for (int i = 0; i < student; ++i) layers.push_back(Ancestors(rule, i, student, larger));
    return layers;
  };
  using V = std::vector<int>;
  EXPECT_THAT(all(LayerRule::kFirst, 3, 6), ElementsAre(V{0}, V{1}, V{2}));
  EXPECT_THAT(all(LayerRule::kUniform, 3, 6), ElementsAre(V{1}, V{3}, V{5}));
  EXPECT_THAT(all(LayerRule::kUniform, 4, 6), ElementsAre(V{0}, V{2}, V{3}, V{5}));
  EXPECT_THAT(all(LayerRule::kDoubled, 4, 2), ElementsAre(V{0}, V{0}, V{1}, V{1}));
  EXPECT_THAT(all(LayerRule::kAveraged, 3, 6), ElementsAre(V{0, 1}, V{2, 3}, V{4, 5}));
  EXPECT_THAT(all(LayerRule::kAveraged, 4, 6), ElementsAre(V{0}, V{1, 2}, V{3}, V{4, 5}));
  EXPECT_EQ(LayerRuleOf("averaged"), LayerRule::kAveraged);
  EXPECT_EQ(TokenRuleOf("pca"), TokenRule::kPca);
  EXPECT_THROW(LayerRuleOf("last"), Error);
}

// At equal width the crop is a supernet's candidate.
TEST(CropTest, FirstStacksAndChannelsAreTheCandidates) {
  const Model larger = ShakenModel(Wide(kNarrowTokens, 2), 3, 20);
  const std::string head =
      "vocabulary: 50 positions: 20 hidden: 12 heads: 3 embedding { trigram { width: 5 } }";
  const auto student = Architecture(head + LayerText(kOther, 1, "1/2") + LayerText(kGeluBlock, 2, "1/3"));
  const Model cropped = CropFrom(larger, student, {}), candidate = CropCandidate(larger, student);
  ASSERT_EQ(cropped.weights.size(), candidate.weights.size());
  for (const auto& [name, tensor] : candidate.weights) {
    EXPECT_TRUE(Equal(cropped.weights.at(name), tensor)) << name;
    EXPECT_NE(cropped.weights.at(name).const_data_ptr(), larger.weights.at(name).const_data_ptr()) << name;
  }
  const Batch batch = MakeBatch({5, 11});
  EXPECT_TRUE(Equal(Forward(cropped, batch).logits, Forward(candidate, batch).logits));
}

// EfficientBERT_TINY: 6 of 12 on every axis; the narrow table stays.
TEST(CropTest, FirstChannelsOfEveryAxis) {
  const Model larger = ShakenModel(Wide(kNarrowTokens, 2), 3, 20);
  const Model tiny = CropFrom(larger, Architecture(Thin(kNarrowTokens, 2)), {});
  const auto whole = [&](const std::string& name) { return larger.weights.at(name); };
  const auto part = [&](const std::string& name) { return tiny.weights.at(name); };
  EXPECT_TRUE(Equal(part("embedding.token"), whole("embedding.token")));
  EXPECT_TRUE(Equal(part("embedding.position"), whole("embedding.position").narrow(1, 0, 6)));
  EXPECT_TRUE(Equal(part("embedding.project.weight"), whole("embedding.project.weight").narrow(0, 0, 6)));
  for (const std::string name : {"attention.query.weight", "attention.out.weight", "ffn.1.up.weight"}) {
    const std::string full = "layer.1." + name;
    EXPECT_TRUE(Equal(part(full), whole(full).narrow(0, 0, 6).narrow(1, 0, 6))) << name;
  }
  EXPECT_TRUE(Equal(part("layer.0.ffn.1.norm.weight"), whole("layer.0.ffn.1.norm.weight").narrow(0, 0, 6)));
  EXPECT_TRUE(Equal(part("pooler.bias"), whole("pooler.bias").narrow(0, 0, 6)));
  EXPECT_TRUE(Equal(part("head.weight"), whole("head.weight").narrow(1, 0, 6)));
  EXPECT_TRUE(Equal(part("fit_dense.weight"), whole("fit_dense.weight").narrow(1, 0, 6)));
  // Heads keep their number: the second one's rows are 2 and 3, which were the first one's.
  EXPECT_EQ(tiny.shape.hidden / tiny.shape.heads, 2);
  EXPECT_EQ(Forward(tiny, MakeBatch({4, 7})).logits.sizes(), at::IntArrayRef({2, 3}));
  // The inner width may stay where hidden shrinks (EfficientBERT++ as published).
  const Model wide = CropFrom(larger, Architecture(Thin(kNarrowTokens, 2, 6, "ffn_hidden: 12")), {});
  EXPECT_EQ(wide.weights.at("layer.0.ffn.0.up.weight").sizes(), at::IntArrayRef({12, 6}));
}

// Channels beyond the cut that are zero everywhere, in a model without LayerNorm, change nothing: the crop
// computes the same.
TEST(CropTest, ComputesTheSameWhereTheRestIsZero) {
  const std::string no_norm = "norm: NO_NORM pooler: 12 ";
  Model larger = ShakenModel(
      Wide("factorised { width: 5 }", 2, no_norm + "bottleneck { width: 6 share_query_key: true }"));
  Model student = CropFrom(larger,
                           Architecture(Thin("factorised { width: 5 }", 2, 9,
                                             "norm: NO_NORM pooler: 12 ffn_hidden: 12 "
                                             "bottleneck { width: 6 share_query_key: true }")),
                           {});
  for (const auto& [name, tensor] : larger.weights) {
    if (name == "head.weight" || name == "pooler.bias" || name == "head.bias") continue;
    const at::Tensor kept = student.weights.at(name);
    at::Tensor padded = at::zeros_like(tensor);
    at::Tensor corner = padded;
    for (int64_t d = 0; d < kept.dim(); ++d) corner = corner.narrow(d, 0, kept.size(d));
    corner.copy_(kept);
    larger.weights.at(name) = padded;
  }
  const Batch batch = MakeBatch({6, 13});
  EXPECT_LT(Difference(Forward(larger, batch).logits, Forward(student, batch).logits), 1e-4);
}

TEST(CropTest, DoublingKeepsEachLayerTwice) {
  const Model larger = ShakenModel(Wide(kNarrowTokens, 2));
  const auto architecture = Doubled(larger.architecture);
  ASSERT_EQ(architecture.layer_size(), 4);
  EXPECT_EQ(architecture.layer(1).ffn().expression(), kGeluBlock);
  EXPECT_EQ(architecture.layer(2).ffn().expression(), kOther);
  const Model doubled = CropFrom(larger, architecture, {.layers = LayerRule::kDoubled});
  for (int i = 0; i < 4; ++i)
    for (const std::string name : {".attention.value.weight", ".ffn.1.down.bias", ".attention.norm.weight"})
      EXPECT_TRUE(Equal(doubled.weights.at("layer." + std::to_string(i) + name),
                        larger.weights.at("layer." + std::to_string(i / 2) + name)))
          << i << name;
  // Each pair of layers is the larger model's layer run twice.
  ForwardOptions options;
  options.hidden_states = true;
  const Batch batch = MakeBatch({8, 3});
  const Outputs outputs = Forward(doubled, batch, options), once = Forward(larger, batch, options);
  EXPECT_TRUE(Equal(outputs.hidden_states[1], once.hidden_states[1]));
  EXPECT_GT(Difference(outputs.hidden_states[2], once.hidden_states[1]), 1e-3);
  EXPECT_THAT(Refusal(larger, Wide(kNarrowTokens, 3), {.layers = LayerRule::kDoubled}),
              HasSubstr("twice the model's layers; got 3"));
}

TEST(CropTest, AveragesAndPicks) {
  const Model larger = ShakenModel(Wide("plain {}", 4));
  const Model mean = CropFrom(larger, Architecture(Wide("plain {}", 2)), {.layers = LayerRule::kAveraged});
  const Model picked = CropFrom(larger, Architecture(Wide("plain {}", 2)), {.layers = LayerRule::kUniform});
  const std::string name = ".ffn.1.up.weight";
  const auto of = [&](int layer) { return larger.weights.at("layer." + std::to_string(layer) + name); };
  EXPECT_LT(Difference(mean.weights.at("layer.1" + name), (of(2) + of(3)) / 2), 1e-6);
  EXPECT_TRUE(Equal(picked.weights.at("layer.0" + name), of(1)));
  EXPECT_TRUE(Equal(picked.weights.at("layer.1" + name), of(3)));
}

// A state's own projection comes with its layer, cut as the shared one is.
TEST(CropTest, OwnProjectionsFollowTheirLayers) {
  Model larger = ShakenModel(Wide("plain {}", 4), 3, 20);
  AddOwnProjections(&larger, {0, 2, 3});
  const auto whole = [&](const std::string& name) { return larger.weights.at(name); };
  const auto crop = [&](int layers, int hidden, LayerRule rule) {
    return CropFrom(larger, Architecture(Thin("plain {}", layers, hidden)), {.layers = rule}).weights;
  };
  const Weights uniform = crop(2, 6, LayerRule::kUniform);
  EXPECT_TRUE(Equal(uniform.at("fit_dense.0.weight"), whole("fit_dense.0.weight").narrow(1, 0, 6)));
  EXPECT_TRUE(Equal(uniform.at("fit_dense.1.weight"), whole("fit_dense.2.weight").narrow(1, 0, 6)));
  EXPECT_TRUE(Equal(uniform.at("fit_dense.1.bias"), whole("fit_dense.2.bias")));
  EXPECT_FALSE(uniform.Has("fit_dense.2.weight"));  // layer 4's output has none
  const Weights first = crop(3, 12, LayerRule::kFirst);
  EXPECT_FALSE(first.Has("fit_dense.1.weight"));
  EXPECT_TRUE(Equal(first.at("fit_dense.3.weight"), whole("fit_dense.3.weight")));
  EXPECT_NE(first.at("fit_dense.3.weight").const_data_ptr(), whole("fit_dense.3.weight").const_data_ptr());
  const Weights doubled = crop(8, 6, LayerRule::kDoubled);
  for (const std::string state : {"3", "4"})
    EXPECT_TRUE(Equal(doubled.at("fit_dense." + state + ".bias"), whole("fit_dense.2.bias"))) << state;
  // Of layers 3 and 4 the second has the shared one.
  EXPECT_LT(Difference(crop(2, 12, LayerRule::kAveraged).at("fit_dense.2.weight"),
                       (whole("fit_dense.3.weight") + whole("fit_dense.weight")) / 2),
            1e-6);
}

// A table of low rank is its principal components: the student's embedding is the larger model's.
TEST(CropTest, PrincipalComponentsOfTheTokenTable) {
  Model larger = ShakenModel(Wide("plain {}", 2));
  const at::Tensor table = larger.weights.at("embedding.token");
  larger.weights.at("embedding.token") = at::matmul(table.narrow(1, 0, 4), table.narrow(0, 0, 4)) + table[7];
  const Batch batch = MakeBatch({6, 6});
  for (const std::string kind : {"trigram", "factorised"}) {
    const Model student =
        CropFrom(larger, Architecture(Wide(kind + " { width: 4 }", 2)), {.tokens = TokenRule::kPca});
    EXPECT_EQ(student.weights.at("embedding.token").sizes(), at::IntArrayRef({50, 4}));
    EXPECT_LT(Difference(Forward(student, batch).logits, Forward(larger, batch).logits), 1e-4) << kind;
    const at::Tensor components = student.weights.at("embedding.token");
    const at::Tensor variances = components.var(0);
    EXPECT_GE(variances[0].item<double>(), variances[3].item<double>());
    EXPECT_LT(components.mean(0).abs().max().item<double>(), 1e-5);
  }
  // Fewer components than the rank: the nearest table of that rank.
  const Model student =
      CropFrom(larger, Architecture(Wide("factorised { width: 2 }", 2)), {.tokens = TokenRule::kPca});
  const at::Tensor whole = larger.weights.at("embedding.token"), centred = whole - whole.mean(0);
  const at::Tensor made =
      at::linear(student.weights.at("embedding.token"), student.weights.at("embedding.project.weight"),
                 student.weights.at("embedding.project.bias"));
  const at::Tensor left = at::linalg_svdvals(centred).narrow(0, 2, 2);
  EXPECT_NEAR((made - whole).norm().item<double>(), left.norm().item<double>(), 1e-3);
}

// Each of the three parts of a trigram's projection is cut by itself.
TEST(CropTest, ANarrowerTrigram) {
  const Model larger = ShakenModel(Wide(kNarrowTokens, 1));
  const Model student = CropFrom(larger, Architecture(Wide("trigram { width: 2 }", 1)), {});
  const at::Tensor whole = larger.weights.at("embedding.project.weight");
  EXPECT_TRUE(Equal(student.weights.at("embedding.project.weight"),
                    at::cat({whole.narrow(1, 0, 2), whole.narrow(1, 5, 2), whole.narrow(1, 10, 2)}, 1)));
}

TEST(CropTest, RefusesWhatCannotBeCropped) {
  const Model larger = ShakenModel(Wide(kNarrowTokens, 2));
  EXPECT_EQ(Refusal(larger, Thin(kNarrowTokens, 2)), "accepted");
  EXPECT_THAT(
      Refusal(larger, Wide(kNarrowTokens, 3)),
      HasSubstr(
          "the number of layers of the student is larger than the model's; got 3; accepted: at most 2"));
  EXPECT_THAT(Refusal(larger, Thin(kNarrowTokens, 2, 15)), HasSubstr("hidden of the student"));
  EXPECT_THAT(Refusal(larger, Thin("plain {}", 2)), HasSubstr("trigram to plain"));
  EXPECT_THAT(Refusal(larger, Thin("trigram { width: 6 }", 2)), HasSubstr("the embedding's width"));
  EXPECT_THAT(Refusal(larger, Thin(kNarrowTokens, 2, 6, "norm: NO_NORM")),
              HasSubstr("the norm cannot be cropped"));
  EXPECT_THAT(Refusal(larger, Thin(kNarrowTokens, 2, 12, "bottleneck { width: 6 }")),
              HasSubstr("bottleneck"));
  EXPECT_THAT(Refusal(larger, Thin(kNarrowTokens, 2, 6, "ffn_hidden: 13")),
              HasSubstr("layer[0].ffn.inner width"));
  EXPECT_THAT(
      Refusal(larger, "vocabulary: 50 positions: 20 hidden: 12 heads: 4 embedding { trigram { width: 5 } }" +
                          LayerText(kGeluBlock)),
      AllOf(HasSubstr("the number of heads"), HasSubstr("larger model's, 3")));
  EXPECT_THAT(
      Refusal(larger, "vocabulary: 50 positions: 20 hidden: 12 heads: 3 embedding { trigram { width: 5 } }" +
                          LayerText(kGeluBlock, 3)),
      HasSubstr("layer[0].ffn.stacks"));
  EXPECT_THAT(Refusal(larger, Thin(kNarrowTokens, 2), {.tokens = TokenRule::kPca}),
              HasSubstr("of a plain one"));
}

}  // namespace
}  // namespace thimble::models
