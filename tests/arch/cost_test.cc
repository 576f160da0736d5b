// Published totals and the pieces they are made of: SYSTEMS A5, A6.
#include "models/arch/cost.h"

#include <gtest/gtest.h>

#include "base/config.h"
#include "proto/architecture.pb.h"

namespace thimble::models {
namespace {

struct Block {
  const char* expression;
  int stacks;
  const char* ratio;
};
const std::vector<Block> kEfficientBert = {
    {"tanh(linear(gelu(linear(x,wb1)),wb2))", 4, "1/2"},
    {"elu(linear(gelu(linear(x,wb1)),wb2))", 2, "1"},
    {"sigmoid(linear(relu(linear(x,wb1)),wb2))", 1, "1/2"},
    {"linear(gelu(linear(max(x,tanh(x)),wb1)),wb2)", 2, "1/2"},
    {"linear(relu(mul(linear(x,wb1),x)),wb2)", 1, "1/2"},
    {"leaky_relu(linear(gelu(linear(x,wb1)),wb2))", 2, "1/3"},
};

proto::Architecture Build(const std::string& head, const std::vector<Block>& blocks) {
  proto::Architecture architecture;
  std::string text = head;
  for (const Block& block : blocks)
    text += std::string(" layer { mixer { self_attention {} } ffn { expression: '") + block.expression +
            "' stacks: " + std::to_string(block.stacks) + " ratio: '" + block.ratio + "' } }";
  ParseText(text, "test", &architecture);
  return architecture;
}

std::vector<Block> Bert(int layers) {
  return std::vector<Block>(layers, Block{"linear(gelu_erf(linear(x,wb1)),wb2)", 1, "1"});
}

double Gflops(const Shape& shape) { return 2e-9 * static_cast<double>(MultiplyAdds(shape, 128)); }

TEST(CostTest, EfficientBert) {
  const Shape shape = Resolve(Build("hidden: 540 heads: 12 embedding { trigram {} }", kEfficientBert));
  EXPECT_EQ(PaperParameters(shape, 768), 15737724);
  EXPECT_EQ(EmbeddingParameters(shape) + 540 * 768 + 768, 4808844);
  EXPECT_EQ(AttentionParameters(540), 1169640);
  EXPECT_EQ(FeedForwardParameters(540, 540, 1), 585360);
  EXPECT_EQ(FeedForwardParameters(540, 270, 1), 293490);
  EXPECT_EQ(FeedForwardParameters(540, 180, 1), 196200);
  EXPECT_EQ(FeedForwardParameters(540, 135, 3), 3 * 147555);
  EXPECT_NEAR(DeployedParameters(shape, 3), 15.616e6, 500);  // SYSTEMS A6: what ships for three classes
  EXPECT_NEAR(Gflops(shape), 3.05, 0.005);
}

TEST(CostTest, EfficientBertTiny) {
  const Shape shape = Resolve(Build("hidden: 360 heads: 12 embedding { trigram {} }", kEfficientBert));
  EXPECT_NEAR(PaperParameters(shape, 768), 9.375e6, 500);
  EXPECT_EQ(EmbeddingParameters(shape) + 360 * 768 + 768, 4508424);
  EXPECT_NEAR(Gflops(shape), 1.42, 0.005);
}

TEST(CostTest, FactorisedEmbedding) {
  const Shape shape = Resolve(Build("hidden: 360 heads: 12 embedding { factorised {} }", Bert(1)));
  EXPECT_EQ(EmbeddingParameters(shape), 30522 * 128 + 128 * 360 + 360 + 514 * 360 + 2 * 360);
  const Shape plain = Resolve(Build("hidden: 360 heads: 12 embedding { plain {} }", Bert(1)));
  EXPECT_EQ(MultiplyAdds(shape, 10) - MultiplyAdds(plain, 10), 10 * 128 * 360);
}

TEST(CostTest, EfficientBertPlusPlusBothReadings) {
  std::vector<Block> doubled;
  for (const Block& block : kEfficientBert) doubled.insert(doubled.end(), {block, block});
  const Shape wide =
      Resolve(Build("hidden: 360 heads: 12 ffn_hidden: 540 embedding { trigram {} }", doubled));
  EXPECT_NEAR(PaperParameters(wide, 768), 15.972e6, 500);
  EXPECT_NEAR(Gflops(wide), 3.24, 0.005);
  const Shape narrow = Resolve(Build("hidden: 360 heads: 12 embedding { trigram {} }", doubled));
  EXPECT_NEAR(PaperParameters(narrow, 768), 14.242e6, 500);
  EXPECT_NEAR(Gflops(narrow), 2.80, 0.005);
}

TEST(CostTest, TinyBertShell) {
  // mul(linear(x,wb1),x) does not fit an inner width above the hidden one; the expression costs nothing.
  auto blocks = kEfficientBert;
  blocks[4].expression = "linear(relu(linear(x,wb1)),wb2)";
  const Shape shape = Resolve(Build("hidden: 768 heads: 12 ffn_hidden: 3072 embedding { plain {} }", blocks));
  EXPECT_NEAR(PaperParameters(shape, 768), 70.117e6, 500);
  EXPECT_EQ(EmbeddingParameters(shape) + 768 * 768 + 768, 24427776);
}

TEST(CostTest, TinyBert4) {
  const Shape shape =
      Resolve(Build("hidden: 312 heads: 12 ffn_hidden: 1200 embedding { plain {} }", Bert(4)));
  EXPECT_NEAR(DeployedParameters(shape, 0), 14.25e6, 5000);
  EXPECT_NEAR(DeployedParameters(shape, 2) - (2 * 312 + 2), 14.35e6, 5000);
  EXPECT_NEAR(PaperParameters(shape, 768) + 312 * 312 + 312, 14.59e6, 5000);
  EXPECT_NEAR(Gflops(shape), 1.25, 0.005);
}

TEST(CostTest, BertBase) {
  const Shape shape =
      Resolve(Build("hidden: 768 heads: 12 ffn_hidden: 3072 embedding { plain {} }", Bert(12)));
  EXPECT_NEAR(DeployedParameters(shape, 0), 108.892e6, 500);
  EXPECT_NEAR(Gflops(shape), 22.3, 0.06);
}

TEST(CostTest, MiniLmTeacher) {
  const Shape shape =
      Resolve(Build("hidden: 384 heads: 12 ffn_hidden: 1536 embedding { plain {} }", Bert(6)));
  EXPECT_EQ(DeployedParameters(shape, 2) - (2 * 384 + 2), 22713216);
}

TEST(CostTest, PoolerOfAnotherWidth) {
  const Shape shape = Resolve(Build("hidden: 360 heads: 12 pooler: 768 embedding { trigram {} }", Bert(2)));
  EXPECT_EQ(DeployedParameters(shape, 3) - DeployedParameters(shape, 0), 360 * 768 + 768 + 768 * 3 + 3);
}

}  // namespace
}  // namespace thimble::models
