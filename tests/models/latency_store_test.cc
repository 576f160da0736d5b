#include "models/latency_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/files.h"

namespace thimble::models {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const LatencyPlace kHere = {"Abacus 3000", "2.11.0", 1, 128, 2};

class LatencyStoreTest : public ::testing::Test {
 protected:
  LatencyStoreTest() : file_(::testing::TempDir() + "latency-" + std::to_string(::getpid()) + ".json") {}
  ~LatencyStoreTest() override { std::filesystem::remove(file_); }
  // What opening the file says; empty if it is opened.
  std::string Problem(const LatencyPlace& place) const {
    try {
      LatencyStore(place, file_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadRequest);
      return error.what();
    }
    return "";
  }
  const std::string file_;
};

TEST(LatencyAnchorsTest, AreTheSizeItselfOrItsNeighbours) {
  EXPECT_THAT(Anchors(1, 1), ElementsAre(1));
  EXPECT_THAT(Anchors(4, 1), ElementsAre(4));
  EXPECT_THAT(Anchors(5, 1), ElementsAre(4, 8));
  EXPECT_THAT(Anchors(12, 1), ElementsAre(12));
  EXPECT_THAT(Anchors(13, 1), ElementsAre(12, 16));
  EXPECT_THAT(Anchors(20, 32), ElementsAre(32)) << "smaller than all";
  EXPECT_THAT(Anchors(1536, 32), ElementsAre(1536));
  EXPECT_THAT(Anchors(1537, 32), ElementsAre(1536, 2048));
}

TEST(LatencyAnchorsTest, OfManySizesAreFew) {
  std::set<int> widths, heads;
  for (int width = 0; width < 49; ++width)
    for (const int size : Anchors(32 * std::max(width, 1), 32)) widths.insert(size);
  for (int count = 1; count <= 12; ++count)
    for (const int size : Anchors(count, 1)) heads.insert(size);
  EXPECT_THAT(heads, ElementsAre(1, 2, 4, 8, 12));
  EXPECT_THAT(widths, ElementsAre(32, 64, 128, 256, 384, 512, 768, 1024, 1536));
}

TEST_F(LatencyStoreTest, IsExactAtWhatWasMeasuredAndLinearBetween) {
  LatencyStore store(kHere, "");
  store.Add("block", 64, 2);
  store.Add("block", 128, 3);
  store.Add("other", 64, 100);
  EXPECT_EQ(store.At("block", 64), 2);
  EXPECT_EQ(store.At("block", 128), 3);
  EXPECT_DOUBLE_EQ(store.At("block", 80), 2.25);
  EXPECT_EQ(store.At("block", 1), 2);
  EXPECT_EQ(store.At("block", 500), 3);
  EXPECT_TRUE(store.Has("block", 64));
  EXPECT_FALSE(store.Has("block", 80)) << "predicted, not measured";
  EXPECT_FALSE(store.Has("none", 64));
}

TEST_F(LatencyStoreTest, NeverPredictsALargerPartToBeFaster) {
  LatencyStore store(kHere, "");
  const std::vector<std::pair<int, double>> noisy = {{8, 5},    {2, 3},  {4, 7}, {1, 4},
                                                     {16, 4.5}, {12, 1}, {3, 2}};
  for (const auto& [size, ms] : noisy) {
    store.Add("attention", size, ms);
    for (int i = 1; i < 20; ++i)
      EXPECT_LE(store.At("attention", i), store.At("attention", i + 1)) << i << " after " << size;
  }
  EXPECT_EQ(store.At("attention", 8), 5) << "what was there stays as it is";
  EXPECT_EQ(store.At("attention", 4), 5);
  EXPECT_EQ(store.At("attention", 1), 3);
}

TEST_F(LatencyStoreTest, ComesBackFromItsFileAndGoesOn) {
  {
    LatencyStore store(kHere, file_);
    EXPECT_TRUE(std::filesystem::exists(file_)) << "a place that cannot be written is found before work";
    store.Add("block, 384, \"gelu\"", 64, 0.1234567890123);
    store.Add("embedding", 0, 0.5);
    store.Write();
  }
  {
    LatencyStore store(kHere, file_);
    EXPECT_EQ(store.At("block, 384, \"gelu\"", 64), 0.1234567890123);
    EXPECT_EQ(store.At("embedding", 0), 0.5);
    store.Add("block, 384, \"gelu\"", 128, 0.3);
    store.Write();
  }
  const LatencyStore store(kHere, file_);
  EXPECT_TRUE(store.Has("block, 384, \"gelu\"", 64));
  EXPECT_TRUE(store.Has("block, 384, \"gelu\"", 128));
}

TEST_F(LatencyStoreTest, RefusesTheFileOfAnotherMachineOrSetting) {
  LatencyStore(kHere, file_).Write();
  const std::string before = ReadFile(file_);
  EXPECT_EQ(Problem(kHere), "");
  const std::string machine = Problem({"Slide Rule", "2.11.0", 1, 128, 2});
  EXPECT_THAT(machine, HasSubstr(file_));
  EXPECT_THAT(machine, HasSubstr("cpu \"Abacus 3000\""));
  EXPECT_THAT(machine, HasSubstr("cpu \"Slide Rule\""));
  EXPECT_THAT(machine, Not(HasSubstr("threads"))) << "what is the same is not told";
  EXPECT_THAT(Problem({"Abacus 3000", "2.12.0", 1, 128, 2}), HasSubstr("libtorch \"2.11.0\""));
  EXPECT_THAT(Problem({"Abacus 3000", "2.11.0", 8, 128, 2}), HasSubstr("batch 1"));
  EXPECT_THAT(Problem({"Abacus 3000", "2.11.0", 1, 64, 2}), HasSubstr("length 128"));
  const std::string two = Problem({"Abacus 3000", "2.11.0", 1, 64, 1});
  EXPECT_THAT(two, HasSubstr("length 128, threads 2"));
  EXPECT_THAT(two, HasSubstr("length 64, threads 1"));
  EXPECT_EQ(ReadFile(file_), before) << "a refused file stays";
}

TEST_F(LatencyStoreTest, RefusesWhatIsNoTable) {
  LatencyStore store(kHere, file_);
  store.Add("block", 64, 2);
  store.Write();
  const std::string whole = ReadFile(file_);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    text.replace(text.find(from), from.size(), to);
    WriteFileAtomically(file_, text);
    return Problem(kHere);
  };
  EXPECT_THAT(with("\"latency_table\": 1", "\"latency_table\": 2"), HasSubstr("latency_table 2"));
  EXPECT_THAT(with("\"latency_table\": 1", "\"something\": 1"), HasSubstr("no table of latencies"));
  EXPECT_THAT(with("\"ms\": 2.0", "\"ms\": -2.0"), HasSubstr("parts.block"));
  EXPECT_THAT(with("\"ms\": 2.0", "\"ms\": \"2\""), HasSubstr("parts.block"));
  EXPECT_THAT(with("\"size\": 64", "\"size\": -64"), HasSubstr("parts.block"));
  EXPECT_THAT(with("\"parts\"", "\"pieces\""), HasSubstr("\"parts\" is missing"));
  WriteFileAtomically(file_, whole.substr(0, whole.size() / 2));
  EXPECT_THAT(Problem(kHere), HasSubstr("JSON"));
}

}  // namespace
}  // namespace thimble::models
