// Published totals and the pieces they are made of: EfficientBERT's tables.
#include "models/encoder/cost.h"

#include <gtest/gtest.h>

#include "base/config.h"
#include "models/encoder/resolve.h"
#include "proto/architecture.pb.h"

namespace thimble::models {
namespace {

// A named configuration.
ResolvedArchitecture Named(const std::string& name) {
  proto::Architecture architecture;
  const std::string path = THIMBLE_SOURCE_DIR "/configs/architectures/" + name + ".textproto";
  ReadText(path, &architecture);
  return Resolve(architecture, path);
}

ResolvedArchitecture OneLayer(const std::string& head) {
  proto::Architecture architecture;
  ParseText(
      head +
          " layer { mixer { self_attention {} } ffn { expression: 'linear(gelu_erf(linear(x,wb1)),wb2)' } }",
      "test", &architecture);
  return Resolve(architecture);
}

int64_t BlockParameters(const ResolvedArchitecture& shape, int width, int stacks) {
  LayerShape layer = shape.layers[0];
  layer.width = width;
  layer.stacks = stacks;
  return FeedForwardParameters(shape, layer);
}

// As published: of all tokens, whatever is read.
double Gflops(const ResolvedArchitecture& shape) {
  return 2e-9 * static_cast<double>(MultiplyAdds(shape, 128, TaskHead::kTokens));
}

TEST(CostTest, EfficientBert) {
  const ResolvedArchitecture shape = Named("efficientbert");
  EXPECT_EQ(PaperParameters(shape, 768), 15737724);
  EXPECT_EQ(EmbeddingParameters(shape) + 540 * 768 + 768, 4808844);
  EXPECT_EQ(MixerParameters(shape, shape.layers[0].mixer), 1169640);
  EXPECT_EQ(BlockParameters(shape, 540, 1), 585360);
  EXPECT_EQ(BlockParameters(shape, 270, 1), 293490);
  EXPECT_EQ(BlockParameters(shape, 180, 1), 196200);
  EXPECT_EQ(BlockParameters(shape, 135, 3), 3 * 147555);
  EXPECT_NEAR(DeployedParameters(shape, 3), 15.616e6, 500);  // what ships for three classes
  EXPECT_NEAR(Gflops(shape), 3.05, 0.005);
}

TEST(CostTest, EfficientBertTiny) {
  const ResolvedArchitecture shape = Named("efficientbert_tiny");
  EXPECT_NEAR(PaperParameters(shape, 768), 9.375e6, 500);
  EXPECT_EQ(EmbeddingParameters(shape) + 360 * 768 + 768, 4508424);
  EXPECT_NEAR(Gflops(shape), 1.42, 0.005);
}

TEST(CostTest, FactorisedEmbedding) {
  const ResolvedArchitecture shape = OneLayer("hidden: 360 heads: 12 embedding { factorised {} }");
  EXPECT_EQ(EmbeddingParameters(shape), 30522 * 128 + 128 * 360 + 360 + 514 * 360 + 2 * 360);
  const ResolvedArchitecture plain = OneLayer("hidden: 360 heads: 12 embedding { plain {} }");
  EXPECT_EQ(MultiplyAdds(shape, 10) - MultiplyAdds(plain, 10), 10 * 128 * 360);
}

TEST(CostTest, EfficientBertPlusPlusBothReadings) {
  const ResolvedArchitecture wide = Named("efficientbert_plus_plus");
  EXPECT_NEAR(PaperParameters(wide, 768), 15.972e6, 500);
  EXPECT_NEAR(Gflops(wide), 3.24, 0.005);
  const ResolvedArchitecture narrow = Named("efficientbert_plus_plus_narrow");
  EXPECT_NEAR(PaperParameters(narrow, 768), 14.242e6, 500);
  EXPECT_NEAR(Gflops(narrow), 2.80, 0.005);
}

TEST(CostTest, TinyBertShell) {
  const ResolvedArchitecture shape = Named("efficientbert_tinybert6");
  EXPECT_NEAR(PaperParameters(shape, 768), 70.117e6, 500);
  EXPECT_EQ(EmbeddingParameters(shape) + 768 * 768 + 768, 24427776);
}

TEST(CostTest, TinyBert4) {
  const ResolvedArchitecture shape = Named("tinybert4");
  EXPECT_NEAR(DeployedParameters(shape, 0), 14.25e6, 5000);
  EXPECT_NEAR(DeployedParameters(shape, 2) - (2 * 312 + 2), 14.35e6, 5000);
  EXPECT_NEAR(PaperParameters(shape, 768) + 312 * 312 + 312, 14.59e6, 5000);
  EXPECT_NEAR(Gflops(shape), 1.25, 0.005);
}

TEST(CostTest, BertBase) {
  const ResolvedArchitecture shape = Named("bert_base");
  EXPECT_NEAR(DeployedParameters(shape, 0), 108.892e6, 500);
  EXPECT_NEAR(Gflops(shape), 22.3, 0.06);
}

TEST(CostTest, MiniLmTeacher) {
  const ResolvedArchitecture shape = Named("minilm6");
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
  const ResolvedArchitecture shape = Named("mobilebert"), tiny = Named("mobilebert_tiny");
  EXPECT_EQ(DeployedParameters(shape, 0), 24581888);
  EXPECT_EQ(DeployedParameters(tiny, 0), 17067776 - 24 * (512 * 128 + 128 + 2 * 128));
  const auto pooled = [](const ResolvedArchitecture& of) {
    return 1e-6 * static_cast<double>(DeployedParameters(of, 2));
  };
  EXPECT_NEAR(pooled(shape), 25.3, 0.02 * 25.3);
  EXPECT_NEAR(pooled(tiny), 15.1, 0.05 * 15.1);
  const int64_t keys = 24 * (128 * 128 + 128);
  EXPECT_NEAR(1e-6 * static_cast<double>(DeployedParameters(tiny, 0) - keys), 15.1, 0.05);  // keys as queries
  EXPECT_EQ(BottleneckParameters(shape) - BottleneckParameters(tiny), 512 * 128 + 128 + 2 * 128);
  EXPECT_EQ(MixerParameters(shape, shape.layers[0].mixer) - MixerParameters(tiny, tiny.layers[0].mixer),
            (512 - 128) * 128);
  // 5.7 and 3.1 billion published.
  EXPECT_NEAR(Gflops(shape), 5.39, 0.01);
  EXPECT_NEAR(Gflops(tiny), 3.07, 0.01);
}

// By hand, of BERT: queries, keys, values and the output h h each a token, a block 2 h m, attention 2 h a
// pair of tokens. Of the last layer keys and values of all tokens, the rest of one, and its query with every
// key.
TEST(CostTest, APooledHeadReadsOneTokenOfTheLastLayer) {
  const int64_t h = 768, m = 3072, layers = 12;
  const ResolvedArchitecture shape = Named("bert_base");
  for (const int64_t t : {1, 64, 128}) {
    const int64_t layer = t * (4 * h * h + 2 * h * m) + t * t * 2 * h;
    const int64_t last = t * 2 * h * h + t * 2 * h + 2 * h * h + 2 * h * m;
    EXPECT_EQ(MultiplyAdds(shape, static_cast<int>(t), TaskHead::kTokens), layers * layer) << t;
    EXPECT_EQ(MultiplyAdds(shape, static_cast<int>(t)), (layers - 1) * layer + last) << t;
  }
  ResolvedArchitecture six = shape;
  six.layers.resize(6);
  const auto all = static_cast<double>(MultiplyAdds(six, 64, TaskHead::kTokens));
  EXPECT_NEAR(static_cast<double>(MultiplyAdds(six, 64)) / all, 0.86, 0.005);
}

// By hand, at the bottleneck's width w: of all tokens the linears to it that keys and values read, keys and
// values themselves; of one token the query, the output, two blocks and the linear back.
TEST(CostTest, APooledHeadBehindABottleneck) {
  const int64_t h = 24, w = 6, m = 12, t = 10;
  const auto shape = [](const std::string& more) {
    proto::Architecture architecture;
    ParseText(
        "hidden: 24 ffn_hidden: 12 heads: 3 embedding { plain {} } bottleneck { width: 6 " + more +
            " } layer { mixer { self_attention {} } ffn { expression: 'linear(relu(linear(x,wb1)),wb2)' "
            "stacks: 2 } }",
        "test", &architecture);
    return Resolve(architecture);
  };
  const int64_t one = w * w + w * w + 2 * (2 * w * m) + w * h, attention = t * 2 * w;
  EXPECT_EQ(MultiplyAdds(shape(""), t), t * (h * w + 2 * w * w) + attention + one);
  // What the residual reads is of one token, what queries and keys read of all.
  EXPECT_EQ(MultiplyAdds(shape("share_query_key: true"), t),
            t * (h * w + w * w + h * w) + attention + h * w + one);
}

TEST(CostTest, PoolerOfAnotherWidth) {
  const ResolvedArchitecture shape = OneLayer("hidden: 360 heads: 12 pooler: 768 embedding { trigram {} }");
  EXPECT_EQ(DeployedParameters(shape, 3) - DeployedParameters(shape, 0), 360 * 768 + 768 + 768 * 3 + 3);
}

}  // namespace
}  // namespace thimble::models
