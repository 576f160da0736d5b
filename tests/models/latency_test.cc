#include "models/latency.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

using ::testing::HasSubstr;

TEST(LatencyTest, PartsAreMeasuredOnce) {
  const auto architecture = Architecture(
      "vocabulary: 500 hidden: 96 heads: 4 embedding { trigram { width: 32 } } bottleneck { width: 48 }" +
      LayerText(kGeluBlock, 2) + LayerText(kGeluBlock, 3) + LayerText(kGeluBlock, 1, "1/2"));
  LatencyTable table({.batch = 2, .length = 64, .runs = 5});
  const auto parts = table.Parts(architecture);
  std::vector<std::string> names;
  std::vector<int> counts;
  for (const PartLatency& part : parts) {
    EXPECT_GT(part.ms, 0) << part.part;
    names.push_back(part.part);
    counts.push_back(part.count);
  }
  EXPECT_THAT(names,
              ::testing::ElementsAre("embedding, trigram 32 to 96", "attention, 4 heads, 96 to 48",
                                     "block, 48 to 96, " + std::string(kGeluBlock), "bottleneck, 48 to 96",
                                     "block, 48 to 48, " + std::string(kGeluBlock)));
  EXPECT_THAT(counts, ::testing::ElementsAre(1, 3, 5, 3, 1));
  // Of the last layer what a pooled head reads.
  names.clear();
  for (const PartLatency& part : table.Parts(architecture, Tokens::kFirst)) names.push_back(part.part);
  EXPECT_THAT(names,
              ::testing::ElementsAre("embedding, trigram 32 to 96", "attention, 4 heads, 96 to 48",
                                     "block, 48 to 96, " + std::string(kGeluBlock), "bottleneck, 48 to 96",
                                     "attention, 4 heads, 96 to 48, first token",
                                     "block, 48 to 48, " + std::string(kGeluBlock) + ", first token",
                                     "bottleneck, 48 to 96, first token", "pooler and head, 96 to 96"));
  // What was measured is not measured again, so that equal parts have equal times in every architecture.
  auto shallow = architecture;
  shallow.mutable_layer()->DeleteSubrange(1, 2);
  const auto again = table.Parts(shallow);
  ASSERT_EQ(again.size(), 4u);
  for (size_t i = 0; i < again.size(); ++i) EXPECT_EQ(again[i].ms, parts[i].ms);
  const Model model = MakeModel(architecture, 0, 0, Random(1));
  // Other programs run, and interrupt a whole pass more often than a part.
  const double whole = MeasureLatency(model, 2, 64, 1, 40, 1).low_ms;
  EXPECT_GT(Sum(parts), whole / 4);
  EXPECT_LT(Sum(parts), whole * 4);
}

TEST(LatencyTest, MeasuresAndRestoresThreads) {
  const Model model = ShakenModel(std::string(kTrigram) + LayerText(kGeluBlock));
  const int threads = at::get_num_threads();
  const Latency latency = MeasureLatency(model, 2, 16, 1, 7, 1);
  EXPECT_EQ(at::get_num_threads(), threads);
  EXPECT_GT(latency.low_ms, 0);
  EXPECT_LE(latency.low_ms, latency.median_ms);
  EXPECT_LE(latency.median_ms, latency.high_ms);
  EXPECT_EQ(latency.runs, 7);
  EXPECT_EQ(latency.batch, 2);
  EXPECT_EQ(latency.length, 16);
}

// A layer with heads of 8 channels and an inner width.
proto::Architecture Sized(int heads, int width) {
  auto architecture =
      Architecture("vocabulary: 100 hidden: 32 heads: 4 embedding { plain {} }" + LayerText(kGeluBlock));
  auto* layer = architecture.mutable_layer(0);
  layer->mutable_mixer()->mutable_self_attention()->set_heads(heads);
  layer->mutable_ffn()->clear_ratio();
  layer->mutable_ffn()->set_width(width);
  return architecture;
}

double Ms(LatencyTable* table, const proto::Architecture& architecture, const std::string& part) {
  for (const PartLatency& each : table->Parts(architecture))
    if (each.part.rfind(part, 0) == 0) return each.ms;
  ADD_FAILURE() << part;
  return 0;
}

TEST(LatencyTest, HeadsAndWidthsBetweenThoseMeasuredLieOnALine) {
  LatencyTable table({.length = 16, .runs = 3});
  std::vector<double> heads, widths;
  for (int size = 1; size <= 12; ++size) {
    heads.push_back(Ms(&table, Sized(size, 32), "attention, "));
    widths.push_back(Ms(&table, Sized(1, 32 * size), "block, "));
  }
  for (const auto& ms : {heads, widths}) {
    for (int size = 2; size <= 12; ++size) EXPECT_GE(ms[size - 1], ms[size - 2]) << size;
    EXPECT_NEAR(ms[6 - 1], (ms[4 - 1] + ms[8 - 1]) / 2, 1e-9);
    EXPECT_NEAR(ms[11 - 1], (ms[8 - 1] + 3 * ms[12 - 1]) / 4, 1e-9);
  }
}

TEST(LatencyTest, HeadsOfAnotherWidthAreAnotherPart) {
  auto wider = Sized(4, 32);
  wider.mutable_layer(0)->mutable_mixer()->mutable_self_attention()->set_head_width(16);
  LatencyTable table({.length = 16, .runs = 3});
  EXPECT_EQ(table.Parts(Sized(4, 32))[1].part, "attention, 4 heads of 8, 32");
  EXPECT_EQ(table.Parts(wider)[1].part, "attention, 4 heads of 16, 32");
}

TEST(LatencyTest, AFileKeepsWhatWasMeasured) {
  const std::string file = ::testing::TempDir() + "latency-table-" + std::to_string(::getpid()) + ".json";
  const LatencySettings settings{.length = 16, .runs = 3};
  const auto times = [](const std::vector<PartLatency>& parts) {
    std::vector<double> times;
    for (const PartLatency& part : parts) times.push_back(part.ms);
    return times;
  };
  const auto first = times(LatencyTable(settings, file).Parts(Sized(3, 100), Tokens::kFirst));
  const std::string written = ReadFile(file);
  LatencyTable again(settings, file);
  EXPECT_EQ(times(again.Parts(Sized(3, 100), Tokens::kFirst)), first)
      << "to the last bit: nothing was measured";
  EXPECT_EQ(ReadFile(file), written);
  again.Measure({Sized(3, 100), Sized(8, 100)}, Tokens::kFirst);
  EXPECT_GT(ReadFile(file).size(), written.size()) << "another size was added";
  EXPECT_EQ(times(LatencyTable(settings, file).Parts(Sized(3, 100), Tokens::kFirst)), first);
  try {
    LatencyTable({.length = 16, .threads = 2}, file);
    ADD_FAILURE() << "times of one thread, read for two";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadRequest);
    EXPECT_THAT(error.what(), HasSubstr("threads 1"));
  }
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace thimble::models
