#include "bench/yardstick/yardstick.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/config.h"
#include "base/error.h"
#include "base/parallel.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "tests/data/scratch.h"

namespace thimble::bench {
namespace {

using testing::HasSubstr;

proto::Strategy Spec(const std::string& text) {
  proto::Strategy spec;
  ParseText(text, "strategy", &spec);
  return spec;
}

// A line of NAS-Bench-BERT.
std::string Row(int hidden, const std::vector<std::string>& layers, double score) {
  std::string text = "{\"id\": 0, \"hidden\": " + std::to_string(hidden) + ", \"layers\": [";
  for (size_t i = 0; i < layers.size(); ++i) text += (i ? ", " : "") + layers[i];
  return text + "], \"scores\": {\"cola\": 1, \"glue\": " + std::to_string(score) + "}}\n";
}

std::string Layer(const std::string& operation, const std::string& parameter, int heads = 2, int ffn = 512,
                  int stacks = 1) {
  return "{\"operation\": \"" + operation + "\", \"parameter\": \"" + parameter +
         "\", \"heads\": " + std::to_string(heads) + ", \"ffn\": " + std::to_string(ffn) +
         ", \"ffn_hidden_layers\": " + std::to_string(stacks) + "}";
}

class YardstickTest : public testing::Test {
 protected:
  // 120 rows, each another mean score.
  Yardstick Table() const {
    std::string text;
    int n = 0;
    for (const int hidden : {128, 256})
      for (const auto& operation : {"SA SDP", "SA WMA", "LT DFT", "LT DCT", "DSC 5", "DSC 9"})
        for (const int heads : {2, 4})
          for (const int stacks : {1, 3})
            for (const int ffn : {512, 1024, 2048}) {
              if (n == 120) break;
              const std::string name = operation;
              const size_t space = name.find(' ');
              text += Row(hidden,
                          {Layer(name.substr(0, space), name.substr(space + 1), heads, ffn, stacks),
                           Layer("SA", "SDP")},
                          50 + 20.0 * ((n * 37) % 120) / 120);
              ++n;
            }
    scratch_.Write("table.jsonl", text);
    return NasBenchBert(scratch_.path() + "/table.jsonl");
  }

  const data::Scratch scratch_;
};

TEST_F(YardstickTest, EveryRowIsLookedUpExactly) {
  const Yardstick table = Table();
  ASSERT_EQ(table.space.Points(), 120);
  std::vector<double> scores, expected;
  for (int i = 0; i < 120; ++i) {
    scores.push_back(table.score(table.space.Point(i)));
    expected.push_back(std::stod(std::to_string(50 + 20.0 * i / 120)));  // as the file has it
  }
  std::sort(scores.begin(), scores.end());
  EXPECT_EQ(scores, expected);
  EXPECT_EQ(table.best, expected.back());
}

TEST_F(YardstickTest, RowsThatAreAlikeAreAveraged) {
  scratch_.Write("table.jsonl", Row(128, {Layer("DSC", "9")}, 60) + Row(128, {Layer("DSC", "5")}, 70) +
                                    Row(128, {Layer("DSC", "9")}, 64));
  const Yardstick table = NasBenchBert(scratch_.path() + "/table.jsonl");
  EXPECT_EQ(table.space.Points(), 2);
  EXPECT_EQ(std::min(table.score(table.space.Point(0)), table.score(table.space.Point(1))), 62);
  EXPECT_EQ(table.best, 70);
}

// "Number of Parameters" of models 10 and 6 in the authors' table of results, whose notebook builds all of
// them 256 and 1024 wide. Theirs have no head (a linear of 256 to 2 here), and positions, segments and their
// norm 128 wide, before the projection.
TEST_F(YardstickTest, ModelsHaveThePublishedSizes) {
  scratch_.Write("table.jsonl",
                 Row(256, {Layer("DSC", "9", 4, 1024), Layer("SA", "SDP", 4, 512)}, 67.4) +
                     Row(128, {Layer("DSC", "5", 4, 512, 3), Layer("SA", "SDP", 2, 512)}, 67.5));
  const auto models = NasBenchBertModels(scratch_.path() + "/table.jsonl", /*released=*/true);
  ASSERT_EQ(models.size(), 2u);
  constexpr int64_t kPublished[] = {5557138, 7654282};
  constexpr int64_t kHead = 256 * 2 + 2, kWider = (512 + 2 + 2) * 128;
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(
        models::DeployedParameters(models::Resolve(models[i].architecture), 2, models::TaskHead::kTokens) -
            kHead - kWider,
        kPublished[i]);
  const auto own = NasBenchBertModels(scratch_.path() + "/table.jsonl", /*released=*/false);
  EXPECT_EQ(own[1].architecture.hidden(), 128);
  EXPECT_TRUE(own[1].architecture.embedding().has_plain());
  EXPECT_EQ(own[1].architecture.layer(0).ffn().width(), 512);
  EXPECT_EQ(own[1].architecture.layer(0).ffn().mlp().hidden_layers(), 3);
  EXPECT_EQ(own[1].architecture.layer(0).mixer().span_convolution().kernel(), 5);
}

TEST_F(YardstickTest, SaysWhatAFileLacks) {
  const auto refused = [&](const std::string& text, const std::string& expected) {
    const std::string path = scratch_.Write("table.jsonl", text);
    EXPECT_THAT(data::ErrorOf([&] { NasBenchBert(path); }),
                testing::AllOf(HasSubstr("table.jsonl"), HasSubstr(expected)));
  };
  refused("{\"hidden\": 128}\n", "layers");
  refused("{\"hidden\": 128\n", "not JSON");
  refused(Row(128, {Layer("SA", "SDPA")}, 60), "SA SDPA");
  refused("", "no architecture");
}

TEST_F(YardstickTest, RanksAreMeansOverSeeds) {
  const std::string layer =
      "layer { mixer { self_attention {} } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' ratio: '1/2' "
      "} } ";
  const auto cheap = [&](const std::string& hash, int hidden, int ffn_hidden) {
    return R"({"kind": "cheap", "hash": ")" + hash +
           R"(", "architecture": "heads: 2 embedding { plain {} } hidden: )" + std::to_string(hidden) +
           " ffn_hidden: " + std::to_string(ffn_hidden) + " " + layer +
           R"(", "untrained": {"accuracy": 0.5, "accuracy_se": 0.1, "loss": 3}})" + "\n";
  };
  const auto trained = [](const std::string& hash, double accuracy) {
    return R"({"kind": "trained", "hash": ")" + hash + R"(", "seed": 1, "dev": {"accuracy": )" +
           std::to_string(accuracy) + "}}\n";
  };
  scratch_.Write("ranks.jsonl",
                 R"({"kind": "study", "task": "qnli"})"
                 "\n" +
                     cheap("a", 8, 16) + cheap("b", 8, 32) + cheap("c", 16, 32) + trained("a", 0.5) +
                     trained("b", 0.75) + trained("a", 0.75) +
                     R"({"kind": "trained", "hash": "c", "seed": 1, "failure": "the loss is not finite"})"
                     "\n");
  const Yardstick ranks = Ranks(scratch_.path() + "/ranks.jsonl");
  EXPECT_EQ(ranks.name, "ranks of qnli");
  EXPECT_EQ(ranks.unit, "points of accuracy");
  ASSERT_EQ(ranks.space.Points(), 2);
  for (int i = 0; i < 2; ++i) {
    const auto architecture = ranks.space.Point(i);
    EXPECT_EQ(ranks.score(architecture), architecture.layer(0).ffn().width() == 8 ? 62.5 : 75);
  }
  EXPECT_EQ(ranks.best, 75);
}

TEST_F(YardstickTest, RegretFallsAndSeedsReproduce) {
  const Yardstick table = Table();
  const std::vector<int> queries = {1, 10, 30, 119, 120, 130};
  const auto spec = Spec("evolution {}");
  const auto regrets = Regrets(table, spec, 3, queries, 4);
  ASSERT_EQ(regrets.size(), queries.size());
  EXPECT_TRUE(std::is_sorted(regrets.rbegin(), regrets.rend()));
  EXPECT_GT(regrets[0], 0);
  EXPECT_EQ(regrets[4], 0);  // all rows
  EXPECT_EQ(regrets[5], 0);
  EXPECT_EQ(Regrets(table, spec, 3, queries, 4), regrets);
  EXPECT_NE(Regrets(table, spec, 4, queries, 4), regrets);
  const Curve alone = CurveOf(table, spec, 6, queries, 4, 1, [] {}),
              together = CurveOf(table, spec, 6, queries, 4, 2, [] {});
  EXPECT_EQ(alone.mean, together.mean);
  EXPECT_EQ(alone.error, together.error);
}

// The best of q of n rows drawn without replacement is the r-th best with probability C(n - r, q - 1) / C(n,
// q).
TEST_F(YardstickTest, RandomSearchIsAsGoodAsCombinatoricsSays) {
  const Yardstick table = Table();
  std::vector<double> regrets;
  for (int i = 0; i < 120; ++i) regrets.push_back(table.best - table.score(table.space.Point(i)));
  std::sort(regrets.begin(), regrets.end());
  const auto log_choose = [](int n, int k) {
    return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
  };
  const std::vector<int> queries = {5, 10, 30};
  const Curve curve = CurveOf(table, Spec("random {}"), 400, queries, 4, Cores(), [] {});
  for (size_t i = 0; i < queries.size(); ++i) {
    double expected = 0;
    for (int r = 1; r <= 120 - queries[i] + 1; ++r)
      expected +=
          regrets[r - 1] * std::exp(log_choose(120 - r, queries[i] - 1) - log_choose(120, queries[i]));
    EXPECT_NEAR(curve.mean[i], expected, 4 * curve.error[i]) << queries[i];
    EXPECT_LT(curve.error[i], 0.1 * expected) << queries[i];
  }
}

TEST(FunctionsTest, HaveTheirBestPointWhereTheySay) {
  for (const Yardstick& function : Functions()) {
    Random same(7);  // as it was drawn
    EXPECT_EQ(function.score(*function.space.Sample(&same)), function.best) << function.name;
    Random random(2);
    double most = -HUGE_VAL, least = 0;
    for (int i = 0; i < 300; ++i) {
      const double score = function.score(*function.space.Sample(&random));
      most = std::max(most, score);
      least = std::min(least, score);
    }
    EXPECT_LE(most, function.best) << function.name;
    EXPECT_LT(most, -1) << function.name;  // found by chance, it would tell nothing
    EXPECT_GE(least, -100) << function.name;
    EXPECT_EQ(function.noise > 0, function.name.ends_with("noisy")) << function.name;
  }
}

TEST(FunctionsTest, NoiseIsObservedAndNotCounted) {
  for (const Yardstick& function : Functions()) {
    if (function.noise == 0) continue;
    Yardstick silent = function;
    silent.noise = 0;
    // The same draws; the best observed is another one for some seeds, and truly no better than the best of
    // them.
    int others = 0;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      const double noisy = Regrets(function, Spec("random {}"), seed, {40}, 4)[0],
                   best = Regrets(silent, Spec("random {}"), seed, {40}, 4)[0];
      EXPECT_GE(noisy, best);
      others += noisy > best;
    }
    EXPECT_GT(others, 0) << function.name;
  }
}

}  // namespace
}  // namespace thimble::bench
