// Published totals and the pieces they are made of: SYSTEMS A5, A6.
#include "models/encoder/cost.h"

#include <gtest/gtest.h>

#include "base/config.h"
#include "proto/architecture.pb.h"

namespace thimble::models {
namespace {

// A named configuration.
Shape Named(const std::string& name) {
  proto::Architecture architecture;
  const std::string path = THIMBLE_SOURCE_DIR "/configs/architectures/" + name + ".textproto";
  ReadText(path, &architecture);
  return Resolve(architecture, path);
}

Shape OneLayer(const std::string& head) {
  proto::Architecture architecture;
  ParseText(
      head +
          " layer { mixer { self_attention {} } ffn { expression: 'linear(gelu_erf(linear(x,wb1)),wb2)' } }",
      "test", &architecture);
  return Resolve(architecture);
}

double Gflops(const Shape& shape) { return 2e-9 * static_cast<double>(MultiplyAdds(shape, 128)); }

TEST(CostTest, EfficientBert) {
  const Shape shape = Named("efficientbert");
  EXPECT_EQ(PaperParameters(shape, 768), 15737724);
  EXPECT_EQ(EmbeddingParameters(shape) + 540 * 768 + 768, 4808844);
  EXPECT_EQ(AttentionParameters(shape), 1169640);
  EXPECT_EQ(FeedForwardParameters(540, 540, 1), 585360);
  EXPECT_EQ(FeedForwardParameters(540, 270, 1), 293490);
  EXPECT_EQ(FeedForwardParameters(540, 180, 1), 196200);
  EXPECT_EQ(FeedForwardParameters(540, 135, 3), 3 * 147555);
  EXPECT_NEAR(DeployedParameters(shape, 3), 15.616e6, 500);  // SYSTEMS A6: what ships for three classes
  EXPECT_NEAR(Gflops(shape), 3.05, 0.005);
}

TEST(CostTest, EfficientBertTiny) {
  const Shape shape = Named("efficientbert_tiny");
  EXPECT_NEAR(PaperParameters(shape, 768), 9.375e6, 500);
  EXPECT_EQ(EmbeddingParameters(shape) + 360 * 768 + 768, 4508424);
  EXPECT_NEAR(Gflops(shape), 1.42, 0.005);
}

TEST(CostTest, FactorisedEmbedding) {
  const Shape shape = OneLayer("hidden: 360 heads: 12 embedding { factorised {} }");
  EXPECT_EQ(EmbeddingParameters(shape), 30522 * 128 + 128 * 360 + 360 + 514 * 360 + 2 * 360);
  const Shape plain = OneLayer("hidden: 360 heads: 12 embedding { plain {} }");
  EXPECT_EQ(MultiplyAdds(shape, 10) - MultiplyAdds(plain, 10), 10 * 128 * 360);
}

TEST(CostTest, EfficientBertPlusPlusBothReadings) {
  const Shape wide = Named("efficientbert_plus_plus");
  EXPECT_NEAR(PaperParameters(wide, 768), 15.972e6, 500);
  EXPECT_NEAR(Gflops(wide), 3.24, 0.005);
  const Shape narrow = Named("efficientbert_plus_plus_narrow");
  EXPECT_NEAR(PaperParameters(narrow, 768), 14.242e6, 500);
  EXPECT_NEAR(Gflops(narrow), 2.80, 0.005);
}

TEST(CostTest, TinyBertShell) {
  const Shape shape = Named("efficientbert_tinybert6");
  EXPECT_NEAR(PaperParameters(shape, 768), 70.117e6, 500);
  EXPECT_EQ(EmbeddingParameters(shape) + 768 * 768 + 768, 24427776);
}

TEST(CostTest, TinyBert4) {
  const Shape shape = Named("tinybert4");
  EXPECT_NEAR(DeployedParameters(shape, 0), 14.25e6, 5000);
  EXPECT_NEAR(DeployedParameters(shape, 2) - (2 * 312 + 2), 14.35e6, 5000);
  EXPECT_NEAR(PaperParameters(shape, 768) + 312 * 312 + 312, 14.59e6, 5000);
  EXPECT_NEAR(Gflops(shape), 1.25, 0.005);
}

TEST(CostTest, BertBase) {
  const Shape shape = Named("bert_base");
  EXPECT_NEAR(DeployedParameters(shape, 0), 108.892e6, 500);
  EXPECT_NEAR(Gflops(shape), 22.3, 0.06);
}

TEST(CostTest, MiniLmTeacher) {
  const Shape shape = Named("minilm6");
  EXPECT_EQ(DeployedParameters(shape, 2) - (2 * 384 + 2), 22713216);
}

// Published sizes in millions: Turc et al., 2019, table 1 (with pooler); Sanh et al., 2019.
TEST(CostTest, Miniatures) {
  const auto millions = [](const std::string& name) {
    return 1e-6 * static_cast<double>(DeployedParameters(Named(name), 2));
  };
  EXPECT_NEAR(millions("bert_tiny"), 4.4, 0.05);
  EXPECT_NEAR(millions("bert_mini"), 11.3, 0.15);
  EXPECT_NEAR(millions("bert_small"), 29.1, 0.35);
  EXPECT_NEAR(millions("bert_medium"), 41.7, 0.35);
  EXPECT_NEAR(millions("distilbert"), 66, 1);
}

// Encoders as transformers 5.23's MobileBertModel(MobileBertConfig()) counts its own without a pooler; for
// TINY with use_bottleneck_attention and two blocks, less the linears to queries and keys that it then does
// not call. Published (Sun et al., ACL 2020, table 1): 25.3M and 15.1M.
TEST(CostTest, MobileBert) {
  const Shape shape = Named("mobilebert"), tiny = Named("mobilebert_tiny");
  EXPECT_EQ(DeployedParameters(shape, 0), 24581888);
  EXPECT_EQ(DeployedParameters(tiny, 0), 17067776 - 24 * (512 * 128 + 128 + 2 * 128));
  const auto pooled = [](const Shape& of) { return 1e-6 * static_cast<double>(DeployedParameters(of, 2)); };
  EXPECT_NEAR(pooled(shape), 25.3, 0.02 * 25.3);
  EXPECT_NEAR(pooled(tiny), 15.1, 0.05 * 15.1);
  const int64_t keys = 24 * (128 * 128 + 128);
  EXPECT_NEAR(1e-6 * static_cast<double>(DeployedParameters(tiny, 0) - keys), 15.1, 0.05);  // keys as queries
  EXPECT_EQ(BottleneckParameters(shape) - BottleneckParameters(tiny), 512 * 128 + 128 + 2 * 128);
  EXPECT_EQ(AttentionParameters(shape) - AttentionParameters(tiny), (512 - 128) * 128);
  // 5.7 and 3.1 billion published.
  EXPECT_NEAR(Gflops(shape), 5.39, 0.01);
  EXPECT_NEAR(Gflops(tiny), 3.07, 0.01);
}

TEST(CostTest, PoolerOfAnotherWidth) {
  const Shape shape = OneLayer("hidden: 360 heads: 12 pooler: 768 embedding { trigram {} }");
  EXPECT_EQ(DeployedParameters(shape, 3) - DeployedParameters(shape, 0), 360 * 768 + 768 + 768 * 3 + 3);
}

}  // namespace
}  // namespace thimble::models
