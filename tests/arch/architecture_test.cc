#include "models/arch/architecture.h"

#include <gmock/gmock.h>

#include "base/config.h"
#include "base/error.h"
#include "models/encoder/resolve.h"
#include "proto/architecture.pb.h"

namespace thimble::models {
namespace {

using ::testing::HasSubstr;

proto::Architecture Small(const std::string& expression = "linear(relu(mul(linear(x,wb1),x)),wb2)",
                          const std::string& ratio = "1/2") {
  proto::Architecture architecture;
  ParseText(R"(hidden: 540 heads: 12 embedding { trigram {} }
               layer { mixer { self_attention {} } ffn { expression: ")" +
                expression + R"(" ratio: ")" + ratio + R"(" stacks: 2 } })",
            "small", &architecture);
  return architecture;
}

std::string Refusal(const proto::Architecture& architecture) {
  try {
    Resolve(architecture, "student");
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(ArchitectureTest, ResolvesDefaults) {
  const ResolvedArchitecture shape = Resolve(Small());
  EXPECT_EQ(shape.ffn_hidden, 540);
  EXPECT_EQ(shape.pooler, 540);
  EXPECT_TRUE(shape.embedding.has_trigram());
  EXPECT_EQ(shape.embedding_width, 128);
  EXPECT_EQ(shape.block_width() / shape.heads, 45);
  EXPECT_EQ(shape.vocabulary, 30522);
  EXPECT_EQ(shape.projected, 3 * 128);
  ASSERT_EQ(shape.layers.size(), 1u);
  EXPECT_EQ(shape.layers[0].width, 270);
  EXPECT_EQ(shape.layers[0].stacks, 2);
}

TEST(ArchitectureTest, FactorisedEmbedding) {
  proto::Architecture architecture = Small();
  architecture.mutable_embedding()->mutable_factorised();
  const ResolvedArchitecture shape = Resolve(architecture);
  EXPECT_TRUE(shape.embedding.has_factorised());
  EXPECT_EQ(shape.embedding_width, 128);
  EXPECT_EQ(shape.projected, 128);
  EXPECT_NE(ArchitectureHash(architecture), ArchitectureHash(Small()));
}

TEST(ArchitectureTest, RatioWidthRoundsDownAndHasOneSpelling) {
  EXPECT_EQ(RatioWidth("1", 540), 540);
  EXPECT_EQ(RatioWidth("1/3", 540), 180);
  EXPECT_EQ(RatioWidth("1/7", 540), 77);
  for (const char* text :
       {"", "2", "1/1", "1/0", "1/02", "1/-2", "1/", "1/2 ", "0.5", "2/3", "1/99999999999"})
    EXPECT_THROW(RatioWidth(text, 540), Error) << text;
  EXPECT_THROW(RatioWidth("1/541", 540), Error);
}

TEST(ArchitectureTest, RefusalsSayWhereAndWhat) {
  auto odd = Small();
  odd.set_heads(7);
  EXPECT_THAT(Refusal(odd),
              HasSubstr("student.heads: the heads must divide the hidden width; got 7 heads, hidden 540"));
  auto empty = Small();
  empty.clear_layer();
  EXPECT_THAT(Refusal(empty), HasSubstr("student.layer: there is no layer"));
  EXPECT_THAT(Refusal(Small("linear(gelu(linear(x,wb1)),wb2)", "0.5")),
              HasSubstr("student.layer[0].ffn.ratio"));
  EXPECT_THAT(Refusal(Small("linear(linear(x,wb1),wb2)")),
              HasSubstr("student.layer[0].ffn.expression: the height"));
  const std::string parallel = "gelu(add(linear(x,wb1),gelu(linear(x,wb2))))";
  EXPECT_EQ(Refusal(Small(parallel, "1")), "accepted");
  EXPECT_THAT(Refusal(Small(parallel)), HasSubstr("takes 270 channels but gets 540"));
}

proto::Architecture Narrow(const std::string& bottleneck) {
  auto architecture = Small("linear(gelu(linear(x,wb1)),wb2)", "1");
  ParseText(bottleneck, "bottleneck", architecture.mutable_bottleneck());
  return architecture;
}

TEST(ArchitectureTest, Bottleneck) {
  auto architecture = Narrow("width: 132 share_query_key: true");
  architecture.set_norm(proto::NO_NORM);
  const ResolvedArchitecture shape = Resolve(architecture);
  EXPECT_EQ(shape.block_width(), 132);
  EXPECT_EQ(shape.block_width() / shape.heads, 11);
  EXPECT_EQ(shape.value_input(), 540);
  EXPECT_EQ(shape.layers[0].width, 540);
  EXPECT_TRUE(shape.no_norm);
  EXPECT_EQ(Resolve(Narrow("width: 132")).value_input(), 132);
  EXPECT_FALSE(Resolve(Small()).no_norm);
  EXPECT_EQ(Resolve(Small()).block_width(), 540);
  EXPECT_THAT(
      Refusal(Narrow("width: 128")),
      HasSubstr("student.heads: the heads must divide the bottleneck width; got 12 heads, bottleneck 128"));
  auto parallel = Narrow("width: 132");
  parallel.mutable_layer(0)->mutable_ffn()->set_expression("gelu(add(linear(x,wb1),gelu(linear(x,wb2))))");
  EXPECT_THAT(Refusal(parallel), HasSubstr("an expression that fits bottleneck 132 and inner width 540"));
}

TEST(ArchitectureTest, BottleneckAndNormCountWhereTheyAreSet) {
  const auto plain = Small("linear(gelu(linear(x,wb1)),wb2)", "1"), narrow = Narrow("width: 132");
  auto spelt = plain;
  spelt.set_norm(proto::LAYER_NORM);
  EXPECT_EQ(CanonicalArchitecture(spelt), CanonicalArchitecture(plain));
  EXPECT_EQ(CanonicalArchitecture(Narrow("width: 132 share_query_key: false")),
            CanonicalArchitecture(narrow));
  spelt.set_norm(proto::NO_NORM);
  EXPECT_NE(ArchitectureHash(spelt), ArchitectureHash(plain));
  EXPECT_NE(ArchitectureHash(narrow), ArchitectureHash(plain));
  EXPECT_NE(ArchitectureHash(Narrow("width: 132 share_query_key: true")), ArchitectureHash(narrow));
  auto epsilon = spelt;  // which nothing reads then
  epsilon.set_layer_norm_epsilon(1e-5);
  EXPECT_EQ(CanonicalArchitecture(epsilon), CanonicalArchitecture(spelt));
}

TEST(ArchitectureTest, IdentityIgnoresSpellingOnly) {
  const auto given = Small();
  auto spelt = given;
  spelt.set_ffn_hidden(540);
  spelt.set_pooler(540);
  spelt.set_positions(512);
  spelt.mutable_layer(0)->mutable_ffn()->set_expression("linear( relu(mul(x, linear(x,wb1))), wb2)");
  EXPECT_EQ(CanonicalArchitecture(spelt), CanonicalArchitecture(given));
  EXPECT_EQ(ArchitectureHash(spelt), ArchitectureHash(given));
  EXPECT_THAT(ArchitectureHash(given), ::testing::MatchesRegex("[0-9a-f]+"));
  EXPECT_EQ(ArchitectureHash(given).size(), 16u);

  auto stacks = given, ratio = given, wider = given;
  stacks.mutable_layer(0)->mutable_ffn()->set_stacks(3);
  ratio.mutable_layer(0)->mutable_ffn()->set_ratio("1/3");
  wider.set_ffn_hidden(541);  // the same inner width, but another base for a supernet's cut
  for (const auto& other : {stacks, ratio, wider})
    EXPECT_NE(ArchitectureHash(other), ArchitectureHash(given));
}

TEST(ArchitectureTest, IdentityMergesRatiosOfOneWidth) {
  auto five = Small("linear(gelu(linear(x,wb1)),wb2)", "1/3");
  five.set_ffn_hidden(5);
  auto other = five;
  other.mutable_layer(0)->mutable_ffn()->set_ratio("1/5");
  EXPECT_EQ(CanonicalArchitecture(five), CanonicalArchitecture(other));
  other.mutable_layer(0)->mutable_ffn()->set_ratio("1/2");
  EXPECT_NE(CanonicalArchitecture(five), CanonicalArchitecture(other));
}

}  // namespace
}  // namespace thimble::models
