// The four published cost tables of EfficientBERT, 72 entries: by formula, and counted on built models.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "models/encoder/cost.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

constexpr int kTeacherHidden = 768;

// Elements of the weights whose names begin with `prefix`.
int64_t Counted(const Model& model, const std::string& prefix) {
  int64_t count = 0;
  for (const auto& [name, tensor] : model.weights)
    if (name.compare(0, prefix.size(), prefix) == 0) count += tensor.numel();
  return count;
}

// Millions, rounded to four decimals.
void ExpectPublished(int64_t parameters, double published, const std::string& entry) {
  EXPECT_NEAR(static_cast<double>(parameters) * 1e-6, published, 0.5001e-4) << entry;
}

TEST(PublishedCostTest, AllEntries) {
  std::ifstream file(THIMBLE_SOURCE_DIR "/tests/golden/efficientbert_costs.json");
  int entries = 0;
  const auto published = nlohmann::json::parse(file);
  for (const auto& table : published.at("tables")) {
    const auto model = table.at("model").get<std::string>(),
               shape_text = table.at("shape").get<std::string>();
    const auto build = [&](int stacks, int ratio, int vocabulary) {
      const std::string inner = ratio == 1 ? "1" : "1/" + std::to_string(ratio);
      return MakeModel(Architecture("vocabulary: " + std::to_string(vocabulary) + " " + shape_text +
                                    LayerText(kGeluBlock, stacks, inner)),
                       0, kTeacherHidden, Random(1));
    };
    const Model whole = build(1, 1, 30522);
    const int hidden = whole.shape.hidden;
    const int64_t outside = EmbeddingParameters(whole.shape) + hidden * kTeacherHidden + kTeacherHidden;
    ExpectPublished(outside, table.at("embedding_and_fit_dense"), model + ", embedding");
    EXPECT_EQ(Counted(whole, "embedding.") + Counted(whole, "fit_dense."), outside) << model;
    const int64_t attention = MixerParameters(whole.shape, whole.shape.layers[0].mixer);
    ExpectPublished(attention, table.at("attention"), model + ", attention");
    EXPECT_EQ(Counted(whole, "layer.0.attention."), attention) << model;
    EXPECT_EQ(Counted(whole, ""), PaperParameters(whole.shape, kTeacherHidden)) << model;
    entries += 2;
    for (int stacks = 1; stacks <= 4; ++stacks)
      for (int ratio = 1; ratio <= 4; ++ratio, ++entries) {
        const std::string entry = model + ", " + std::to_string(stacks) + " of 1/" + std::to_string(ratio);
        const Model built = build(stacks, ratio, 10);
        const int64_t formula = FeedForwardParameters(built.shape, built.shape.layers[0]);
        ExpectPublished(formula, table.at("ffn").at(stacks - 1).at(ratio - 1), entry);
        EXPECT_EQ(Counted(built, "layer.0.ffn."), formula) << entry;
      }
  }
  EXPECT_EQ(entries, 72);
}

// MobileBERT's layers, counted; sizes of the whole models: tests/arch/cost_test.
TEST(PublishedCostTest, MobileBertsLayers) {
  for (const std::string name : {"mobilebert", "mobilebert_tiny"}) {
    proto::Architecture architecture;
    ReadText(THIMBLE_SOURCE_DIR "/configs/architectures/" + name + ".textproto", &architecture);
    architecture.set_vocabulary(10);
    architecture.mutable_layer()->DeleteSubrange(1, architecture.layer_size() - 1);
    const Model model = MakeModel(architecture, 0, 0, Random(1));
    const LayerShape& layer = model.shape.layers[0];
    EXPECT_EQ(Counted(model, "layer.0.attention."), MixerParameters(model.shape, layer.mixer)) << name;
    EXPECT_EQ(Counted(model, "layer.0.bottleneck."), BottleneckParameters(model.shape)) << name;
    EXPECT_EQ(Counted(model, "layer.0.ffn."), FeedForwardParameters(model.shape, layer)) << name;
    EXPECT_EQ(Counted(model, ""), DeployedParameters(model.shape, 0)) << name;
  }
}

}  // namespace
}  // namespace thimble::models
