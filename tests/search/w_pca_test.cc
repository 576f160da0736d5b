#include "search/evaluators/w_pca.h"

#include <gtest/gtest.h>
#include <ATen/ATen.h>

#include "tests/train/toy.h"
#include "train/batch.h"

namespace thimble::search {
namespace {

class WPca : public testing::Test {
 protected:
  // The linear of wb1 of both layers returns `width` channels of which `rank` are independent.
  models::Model WithRank(int64_t rank) {
    auto model = models::MakeModel(train::ToyArchitecture(), 2, 0, Random(1));
    for (const char* name : {"layer.0.ffn.0.up.weight", "layer.1.ffn.0.up.weight"}) {
      at::Tensor& up = model.weights.at(name);
      at::manual_seed(7);
      up.copy_(at::matmul(at::randn({up.size(0), rank}), at::randn({rank, up.size(1)})));
    }
    return model;
  }
  models::Batch Rows(int count) { return train::MakeBatches(train::ToyData(count, 3), count).front(); }
};

TEST_F(WPca, CountsIndependentChannels) {
  const auto batch = Rows(40);
  EXPECT_EQ(PrincipalComponents(WithRank(1), batch), 2);  // one in each of two layers
  EXPECT_EQ(PrincipalComponents(WithRank(3), batch, 1 - 1e-9), 6);
  EXPECT_LE(PrincipalComponents(WithRank(3), batch, 0.5), 4);
}

TEST_F(WPca, MeanAndScaleDoNotMatter) {
  auto model = models::MakeModel(train::ToyArchitecture(), 2, 0, Random(1));
  const auto batch = Rows(40);
  const auto before = PrincipalComponents(model, batch);
  EXPECT_GT(before, 2);
  EXPECT_LE(before, 2 * 24);  // no more than its inputs
  // Of the last block: others feed what follows.
  model.weights.at("layer.1.ffn.0.up.bias").add_(5);
  model.weights.at("layer.1.ffn.0.up.weight").mul_(3);
  EXPECT_EQ(PrincipalComponents(model, batch), before);
}

TEST_F(WPca, PaddingDoesNotCount) {
  const auto model = models::MakeModel(train::ToyArchitecture(), 2, 0, Random(1));
  auto batch = Rows(1);
  const auto alone = PrincipalComponents(model, batch);
  const auto pad = [](const at::Tensor& x) { return at::constant_pad_nd(x, {0, 6}); };
  batch = {.ids = pad(batch.ids), .segments = pad(batch.segments), .mask = pad(batch.mask)};
  EXPECT_EQ(PrincipalComponents(model, batch), alone);
}

}  // namespace
}  // namespace thimble::search
