// What a trace of the walk says of weights, of linears that share an input, and of memory.
#include "models/encoder/trace.h"
#include "models/encoder/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/config.h"
#include "models/encoder/encoder.h"
#include "proto/architecture.pb.h"

namespace thimble::models {
namespace {

using testing::ElementsAre;

ResolvedArchitecture Resolved(const std::string& head) {
  proto::Architecture architecture;
  ParseText("vocabulary: 50 positions: 16 heads: 2 " + head +
                " layer { mixer { self_attention {} } ffn { expression: 'linear(tanh(linear(x,wb1)),wb2)' "
                "stacks: 2 } }",
            "test", &architecture);
  return Resolve(architecture);
}

std::vector<std::vector<std::string>> ReadTogether(const Trace& trace) {
  std::map<int, std::vector<std::string>> by_input;
  for (const auto& linear : trace.linears()) by_input[linear.input].push_back(linear.name);
  std::vector<std::vector<std::string>> all;
  for (const auto& [input, names] : by_input) all.push_back(names);
  return all;
}

TEST(TraceTest, NamesWeightsAsTheWalkReadsThem) {
  Trace trace(Trace::Names::kKept);
  Encode(Resolved("hidden: 8 ffn_hidden: 12 embedding { trigram { width: 4 } }"), Tokens::kAll, trace);
  std::vector<std::string> names;
  for (const WeightShape& weight : trace.weights())
    if (!weight.name.ends_with(".bias")) names.push_back(weight.name);
  EXPECT_THAT(
      names,
      ElementsAre("embedding.token", "embedding.project.weight", "embedding.segment", "embedding.position",
                  "embedding.norm.weight", "layer.0.attention.query.weight", "layer.0.attention.key.weight",
                  "layer.0.attention.value.weight", "layer.0.attention.out.weight",
                  "layer.0.attention.norm.weight", "layer.0.ffn.0.up.weight", "layer.0.ffn.0.down.weight",
                  "layer.0.ffn.0.norm.weight", "layer.0.ffn.1.up.weight", "layer.0.ffn.1.down.weight",
                  "layer.0.ffn.1.norm.weight"));
  const auto& project = trace.weights()[1];
  EXPECT_THAT(project.sizes, ElementsAre(8, 12));
  EXPECT_EQ(project.form.in_parts, 3);
  int64_t numbers = 0;
  for (const WeightShape& weight : trace.weights()) {
    int64_t product = 1;
    for (const int64_t size : weight.sizes) product *= size;
    numbers += product;
  }
  EXPECT_EQ(numbers, trace.cost().parameters);
}

TEST(TraceTest, KnowsWhichLinearsReadOneState) {
  Trace plain(Trace::Names::kKept);
  Encode(Resolved("hidden: 8 embedding { plain {} }"), Tokens::kAll, plain);
  EXPECT_THAT(
      ReadTogether(plain),
      ElementsAre(ElementsAre("layer.0.attention.query", "layer.0.attention.key", "layer.0.attention.value"),
                  ElementsAre("layer.0.attention.out"), ElementsAre("layer.0.ffn.0.up"),
                  ElementsAre("layer.0.ffn.0.down"), ElementsAre("layer.0.ffn.1.up"),
                  ElementsAre("layer.0.ffn.1.down")));
  Trace shared(Trace::Names::kKept);
  Encode(Resolved("hidden: 8 embedding { plain {} } bottleneck { width: 4 share_query_key: true }"),
         Tokens::kAll, shared);
  EXPECT_THAT(ReadTogether(shared)[0],
              ElementsAre("layer.0.bottleneck.in", "layer.0.bottleneck.qk", "layer.0.attention.value"));
}

// By hand, in channels a token: a plain embedding's tokens, segments and sum 3 h; attention's input, queries,
// keys, values and output 5 h; a block's x, up, tanh and down 2 h + 2 m. Of what a pooled head reads:
// attention's input, keys and values 3 h, and nothing behind it.
TEST(TraceTest, CountsWhatIsAliveAtOnce) {
  const auto most = [](const std::string& head, Tokens read = Tokens::kAll) {
    Trace trace(Trace::Names::kLeftOut);
    Encode(Resolved(head), read, trace);
    EXPECT_EQ(trace.cost().alive, 0);
    return trace.cost().most_alive;
  };
  EXPECT_EQ(most("hidden: 8 ffn_hidden: 2 embedding { plain {} }"), 5 * 8);
  EXPECT_EQ(most("hidden: 8 ffn_hidden: 40 embedding { plain {} }"), 2 * 8 + 2 * 40);
  EXPECT_EQ(most("hidden: 8 ffn_hidden: 40 embedding { plain {} }", Tokens::kFirst), 3 * 8);
}

// Such a query is no reader of what keys and values read: in eight bits it has a scale of its own.
TEST(TraceTest, AQueryOfOneTokenReadsAnotherState) {
  Trace trace(Trace::Names::kKept);
  const Value last = Encode(Resolved("hidden: 8 embedding { plain {} }"), Tokens::kFirst, trace);
  EXPECT_THAT(ReadTogether(trace),
              ElementsAre(ElementsAre("layer.0.attention.key", "layer.0.attention.value"),
                          ElementsAre("layer.0.attention.query"), ElementsAre("layer.0.attention.out"),
                          ElementsAre("layer.0.ffn.0.up"), ElementsAre("layer.0.ffn.0.down"),
                          ElementsAre("layer.0.ffn.1.up"), ElementsAre("layer.0.ffn.1.down")));
  EXPECT_EQ(Trace::Width(last), 8);
}

// A feed-forward block, say, that looks at a token's neighbours.
TEST(TraceTest, AWordAboutAllTokensRefusesOne) {
  Trace trace(Trace::Names::kLeftOut);
  const Value all = trace.State(8), one = trace.OnlyFirst("first", all);
  EXPECT_THROW(trace.Shift("x", one, 1), std::logic_error);
  EXPECT_THROW(trace.MaskPadding("x", one), std::logic_error);
  EXPECT_THROW(trace.Residual("x", all, one), std::logic_error);
  EXPECT_THROW(trace.SumTokens("x", trace.SplitHeads("x", one, 2, Ops::Order::kChannelsFirst)),
               std::logic_error);
}

}  // namespace
}  // namespace thimble::models
