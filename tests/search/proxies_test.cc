// Scores of a network: numbers of PyTorch and NumPy (tests/golden/proxies.py), and what must hold of each.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/config.h"
#include "base/files.h"
#include "models/hub/safetensors.h"
#include "search/evaluators/proxy.h"
#include "tests/models/fixtures.h"
#include "tests/train/toy.h"
#include "train/batch.h"

namespace thimble::search {
namespace {

double Value(const std::string& text, const models::Model& network, const models::Batch& rows) {
  proto::Proxy proxy;
  ParseText(text, text, &proxy);
  return NetworkValue(proxy, network, rows);
}

std::vector<ProxyEntry> OfNetworks() {
  auto entries = Proxies();
  std::erase_if(entries, [](const ProxyEntry& entry) { return !entry.network; });
  return entries;
}

TEST(Proxies, AreThoseOfPyTorchAndNumPy) {
  const auto golden = nlohmann::json::parse(ReadFile(THIMBLE_SOURCE_DIR "/tests/golden/proxies.json"));
  const auto tensors =
      models::ReadSafetensors(THIMBLE_SOURCE_DIR "/tests/golden/proxies.safetensors").tensors;
  auto network =
      models::MakeModel(models::Architecture(golden.at("architecture")), golden.at("classes"), 0, Random(1));
  for (const auto& [name, tensor] : models::Weights(network.weights))
    network.weights.at(name) = tensors.at("weights/" + name);
  const models::Batch rows = {.ids = tensors.at("rows/ids"),
                              .segments = tensors.at("rows/segments"),
                              .mask = tensors.at("rows/mask")};
  std::set<std::string> seen;
  for (const auto& [text, value] : golden.at("values").items()) {
    const auto expected = value.get<double>();
    EXPECT_NEAR(Value(text, network, rows), expected, 2e-5 * std::abs(expected)) << text;
    seen.insert(text.substr(0, text.find(' ')));
  }
  for (const auto& entry : OfNetworks())
    EXPECT_TRUE(seen.count(entry.name)) << entry.name << " has no golden number";
}

class OfNetwork : public testing::TestWithParam<ProxyEntry> {
 protected:
  std::string Text() const { return GetParam().name + " {}"; }
};

models::Batch Padded(const models::Batch& rows, int by) {
  const auto pad = [by](const at::Tensor& x) { return at::constant_pad_nd(x, {0, by}); };
  return {.ids = pad(rows.ids), .segments = pad(rows.segments), .mask = pad(rows.mask)};
}

TEST_P(OfNetwork, PaddingDoesNotCount) {
  const auto rows = train::MakeBatches(train::ToyData(12, 3), 12).front();
  for (const auto head : {models::TaskHead::kPooled, models::TaskHead::kTokens}) {
    auto network = models::MakeModel(train::ToyArchitecture(), 2, 0, Random(1), head);
    models::Shake(&network, 3);
    const double value = Value(Text(), network, rows);
    EXPECT_NEAR(Value(Text(), network, Padded(rows, 6)), value, 1e-4 * std::abs(value));
  }
}

TEST_P(OfNetwork, TheNetworkStaysAsItWas) {
  const auto network = models::MakeModel(train::ToyArchitecture(), 2, 0, Random(1));
  const std::string before = network.weights.Hash();
  Value(Text(), network, train::MakeBatches(train::ToyData(6, 3), 6).front());
  EXPECT_EQ(network.weights.Hash(), before);
  for (const auto& [name, tensor] : network.weights) EXPECT_FALSE(tensor.requires_grad()) << name;
}

INSTANTIATE_TEST_SUITE_P(Catalogue, OfNetwork, testing::ValuesIn(OfNetworks()),
                         [](const auto& info) { return info.param.name; });

class WPca : public testing::Test {
 protected:
  // The first linear of the block of both layers returns channels of which `rank` are independent.
  static models::Model WithRank(int64_t rank) {
    auto model = models::MakeModel(train::ToyArchitecture(), 2, 0, Random(1));
    for (const char* name : {"layer.0.ffn.0.up.weight", "layer.1.ffn.0.up.weight"}) {
      at::Tensor& up = model.weights.at(name);
      at::manual_seed(7);
      up.copy_(at::matmul(at::randn({up.size(0), rank}), at::randn({rank, up.size(1)})));
    }
    return model;
  }
  static double Components(const models::Model& model, double share = 0.99) {
    return Value("w_pca { weighted: false share: " + std::to_string(share) + " }", model,
                 train::MakeBatches(train::ToyData(40, 3), 40).front());
  }
};

TEST_F(WPca, CountsIndependentChannels) {
  EXPECT_EQ(Components(WithRank(1)), 2);  // one in each of two layers
  EXPECT_EQ(Components(WithRank(3), 0.999999), 6);
  EXPECT_LE(Components(WithRank(3), 0.5), 4);
}

TEST_F(WPca, MeanAndScaleDoNotMatter) {
  auto model = models::MakeModel(train::ToyArchitecture(), 2, 0, Random(1));
  const auto before = Components(model);
  EXPECT_GT(before, 2);
  EXPECT_LE(before, 2 * 24);  // no more than its inputs
  // Of the last block: others feed what follows.
  model.weights.at("layer.1.ffn.0.up.bias").add_(5);
  model.weights.at("layer.1.ffn.0.up.weight").mul_(3);
  EXPECT_EQ(Components(model), before);
}

// A layer without a mixer or a block adds nothing, and is no reason to fail.
TEST(Proxies, ALayerMayBeNothing) {
  const auto rows = train::MakeBatches(train::ToyData(12, 3), 12).front();
  const std::string nothing = " layer { mixer { none {} } ffn { none {} } }";
  const auto bare = models::ShakenModel(std::string(models::kPlain) + nothing, 2);
  const auto one = models::ShakenModel(models::kPlain + models::LayerText(models::kGeluBlock), 2);
  const auto both = models::ShakenModel(models::kPlain + models::LayerText(models::kGeluBlock) + nothing, 2);
  for (const char* text :
       {"w_pca {}", "synaptic_diversity {}", "synaptic_saliency {}", "head_confidence {}"}) {
    EXPECT_EQ(Value(text, bare, rows), 0) << text;
    EXPECT_GT(Value(text, one, rows), 0) << text;
  }
  for (const char* text : {"w_pca { weighted: false }", "head_confidence {}", "activation_distance {}"})
    EXPECT_EQ(Value(text, both, rows), Value(text, one, rows)) << text;
}

}  // namespace
}  // namespace thimble::search
