// What reports are made of: decimals, plots in characters, the agreement of two scores, architectures as
// JSON, words for a shell.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/config.h"
#include "tools/quantities.h"
#include "tools/report/agreement.h"
#include "tools/report/architecture_json.h"
#include "tools/report/digits.h"
#include "tools/report/document.h"
#include "tools/report/page.h"
#include "tools/report/plot.h"

namespace thimble::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Digits, TellScoresApart) {
  EXPECT_EQ(DigitsFor({-0.5}, {0.02}), 4);
  EXPECT_EQ(DigitsFor({-0.5}, {0.0}), 4);
  EXPECT_EQ(DigitsFor({}, {}), 4);
  // -0.0000345 +- 0.0000021
  EXPECT_EQ(DigitsFor({-3.45e-5}, {2.1e-6}), 7);
  EXPECT_EQ(Decimal(-3.45e-5, DigitsFor({-3.45e-5}, {2.1e-6})), "-0.0000345");
  EXPECT_EQ(DigitsFor({-3.45e-5}, {0}), 7);
  // Two more than the error's, no further.
  EXPECT_EQ(DigitsFor({-3e-6}, {0.001}), 6);
  EXPECT_EQ(DigitsFor({1e-300}, {}), 10);
  EXPECT_EQ(DigitsFor({INFINITY, NAN}, {INFINITY}), 4);
  EXPECT_EQ(DigitsFor({1.5e7}, {}), 4);
}

TEST(Plot, PutsPointsWhereTheyBelong) {
  const std::string plot =
      Plot({{1e6, -1, 'o'}, {3e6, -0.5, '#'}, {NAN, 0, 'x'}, {2e6, -0.75, 'u'}},
           {.columns = 21, .rows = 5, .digits = 2, .x = "parameters", .y = "score", .legend = "# front"});
  EXPECT_EQ(plot,
            "score\n"
            "-0.50 |                    #\n"
            "      |\n"
            "      |          u\n"
            "      |\n"
            "-1.00 |o\n"
            "      +---------------------\n"
            "       1.00M parameters 3.00M\n"
            "       # front\n");
  // One point alone, and none.
  EXPECT_THAT(Plot({{5, 7, 'o'}}, {.columns = 5, .rows = 3, .digits = 1, .x = "x", .y = "y"}),
              HasSubstr("    |  o\n"));
  EXPECT_EQ(Plot({{NAN, 1, 'o'}}, {}), "");
  EXPECT_EQ(Plot({}, {}), "");
}

TEST(KendallTau, CountsTies) {
  EXPECT_DOUBLE_EQ(KendallTau({{1, 1}, {2, 2}, {3, 3}}).value(), 1);
  EXPECT_DOUBLE_EQ(KendallTau({{1, 3}, {2, 2}, {3, 1}}).value(), -1);
  // scipy.stats.kendalltau([1, 2, 2, 3], [1, 2, 3, 2]).statistic (SciPy 1.17.1): 3 - 1 of sqrt(5 * 5)
  EXPECT_NEAR(KendallTau({{1, 1}, {2, 2}, {2, 3}, {3, 2}}).value(), 0.4, 1e-12);
  EXPECT_FALSE(KendallTau({{1, 1}, {2, 2}}));
  EXPECT_FALSE(KendallTau({{1, 1}, {1, 2}, {1, 3}}));
}

TEST(ArchitectureJson, SaysEqualLayersOnce) {
  proto::Architecture architecture;
  ParseText(R"text(
    hidden: 8 heads: 2 embedding { plain {} }
    layer { mixer { self_attention {} } ffn { expression: "linear(gelu(linear(x,wb1)),wb2)" } }
    layer { mixer { none {} } ffn { none {} } }
    layer { mixer { self_attention { heads: 1 head_width: 4 } } ffn { expression: "linear(gelu(linear(x,wb1)),wb2)" stacks: 2 width: 5 } }
    layer { mixer { self_attention {} } ffn { expression: "linear(gelu(linear(x,wb1)),wb2)" } })text",
            "architecture", &architecture);
  LayerKinds kinds;
  EXPECT_EQ(kinds.Json(architecture).dump(), R"({"hidden":8,"embedding":"plain","layers":[0,1,2,0]})");
  EXPECT_EQ(kinds.Json(architecture)["layers"].dump(), "[0,1,2,0]");
  ASSERT_EQ(kinds.List().size(), 3u);
  EXPECT_EQ(
      kinds.List()[0].dump(),
      R"json({"mixer":"self_attention","heads":2,"head_width":4,"ffn":"expression","blocks":1,"width":8,)json"
      R"json("text":"linear(gelu(linear(x,wb1)),wb2)","tree":["linear wb2",["gelu",["linear wb1","x"]]]})json");
  EXPECT_EQ(kinds.List()[1].dump(), R"({"mixer":"none","heads":0,"ffn":"none"})");
  EXPECT_EQ(kinds.List()[2]["heads"], 1);
  EXPECT_EQ(kinds.List()[2]["blocks"], 2);
  EXPECT_EQ(kinds.List()[2]["width"], 5);
}

TEST(ShellWord, QuotesWhatAShellWouldRead) {
  EXPECT_EQ(ShellWord("my-study/a_b.c"), "my-study/a_b.c");
  EXPECT_EQ(ShellWord("a b"), "'a b'");
  EXPECT_EQ(ShellWord("it's"), "'it'\\''s'");
  EXPECT_EQ(ShellWord("$HOME"), "'$HOME'");
  EXPECT_EQ(ShellWord(""), "''");
}

nlohmann::ordered_json BigDocument(int trials) {
  nlohmann::ordered_json stage = {{"name", "s"}, {"best", 1}, {"trials", nlohmann::ordered_json::array()}};
  for (int i = 0; i < trials; ++i)
    stage["trials"].push_back(
        {{"number", i}, {"state", i % 2 == 0 ? "thinned" : "complete"}, {"reason", std::string(1000, 'x')}});
  return {{"name", "a </script> <b> & c"},
          {"results", nlohmann::ordered_json::array()},
          {"stages", nlohmann::ordered_json::array({stage})}};
}

TEST(ReportPage, StaysBelowItsSizeAndSaysWhatItLeavesOut) {
  const std::string small = ReportHtml(BigDocument(10)), thinned = ReportHtml(BigDocument(3000)),
                    large = ReportHtml(BigDocument(9000));
  for (const auto* page : {&small, &thinned, &large}) {
    EXPECT_LT(page->size(), 2'000'000u);
    EXPECT_THAT(*page, HasSubstr("<title>a &lt;/script&gt; &lt;b&gt; &amp; c</title>"));
    EXPECT_THAT(*page, Not(HasSubstr("a </script>")));
    EXPECT_THAT(*page, Not(HasSubstr("{{")));
  }
  EXPECT_THAT(small, Not(HasSubstr("\"left_out\"")));
  EXPECT_THAT(thinned, HasSubstr("\"left_out\":1500"));
  EXPECT_THAT(large, HasSubstr("\"number\":1,"));  // the best stays
}

}  // namespace
}  // namespace thimble::tools
