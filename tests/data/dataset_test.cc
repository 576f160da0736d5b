#include "data/dataset.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <set>

#include "proto/task.pb.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kSmall[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\n=\n";

class DatasetTest : public ::testing::Test {
 protected:
  const Scratch scratch_;
  const WordPiece tokenizer_{scratch_.Write("vocab.txt", kSmall)};
};

// Rows of known, uneven lengths.
Dataset Ragged(int rows, uint64_t seed) {
  Random random(seed);
  Dataset data;
  for (int i = 0; i < rows; ++i) {
    const size_t length = 3 + random.Below(60);
    data.examples.push_back({std::vector<int32_t>(length, i), std::vector<int32_t>(length, 0), i % 2});
  }
  return data;
}

proto::Batching Plan(int size, int bucket_width) {
  proto::Batching batching;
  batching.set_size(size);
  batching.set_bucket_width(bucket_width);
  return batching;
}

std::vector<int> Joined(const std::vector<std::vector<int>>& batches) {
  std::vector<int> rows;
  for (const auto& batch : batches) rows.insert(rows.end(), batch.begin(), batch.end());
  return rows;
}

void ExpectEveryRowOnce(const std::vector<std::vector<int>>& batches, int rows, int size) {
  std::vector<int> all = Joined(batches);
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), static_cast<size_t>(rows));
  for (int i = 0; i < rows; ++i) EXPECT_EQ(all[i], i);
  int partial = 0;
  for (const auto& batch : batches) {
    EXPECT_FALSE(batch.empty());
    EXPECT_LE(batch.size(), static_cast<size_t>(size));
    partial += batch.size() < static_cast<size_t>(size);
  }
  EXPECT_LE(partial, 1);
}

// Positions a batch is padded with, over all positions.
double PaddingShare(const Dataset& data, const std::vector<std::vector<int>>& batches) {
  double positions = 0;
  for (const auto& batch : batches) {
    size_t longest = 0;
    for (const int row : batch) longest = std::max(longest, data.examples[row].ids.size());
    positions += static_cast<double>(longest * batch.size());
  }
  return 1 - static_cast<double>(data.Tokens()) / positions;
}

TEST_F(DatasetTest, PairsAreTokenized) {
  const std::vector<Row> rows = {{"a b", "c", 1}, {"c", "", 0}};
  const Dataset data = Tokenize(rows, FindTask("mrpc"), tokenizer_, 128, 1);
  EXPECT_EQ(data.classes, 2);
  EXPECT_EQ(data.Tokens(), 6 + 4);
  EXPECT_THAT(data.examples[0].ids, ElementsAre(2, 4, 5, 3, 6, 3));
  EXPECT_THAT(data.examples[0].segments, ElementsAre(0, 0, 0, 0, 1, 1));
  EXPECT_EQ(data.examples[0].label, 1);
  EXPECT_THAT(data.examples[1].ids, ElementsAre(2, 6, 3, 3));
}

TEST_F(DatasetTest, ThreadsDoNotChangeTheResult) {
  std::vector<Row> rows;
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    Row row{.label = i % 2};
    for (uint64_t n = random.Below(20); n > 0; --n)
      row.first += std::string(1, "abcd"[random.Below(4)]) + " ";
    rows.push_back(row);
  }
  const Dataset one = Tokenize(rows, FindTask("sst2"), tokenizer_, 16, 1);
  const Dataset four = Tokenize(rows, FindTask("sst2"), tokenizer_, 16, 4);
  EXPECT_EQ(one.hash, four.hash);
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(one.examples[i].ids, four.examples[i].ids);
    EXPECT_LE(one.examples[i].ids.size(), 16u);
  }
}

TEST_F(DatasetTest, HashIsTheIdentityOfTheTokenizedData) {
  const std::vector<Row> rows = {{"a b", "c", 1}, {"c", "a", 0}};
  const Dataset data = Tokenize(rows, FindTask("mrpc"), tokenizer_, 128, 1);
  std::set<std::string> hashes = {data.hash};
  for (const auto& other : {std::vector<Row>{{"a b", "c", 0}, {"c", "a", 0}},
                            {{"a", "b c", 1}, {"c", "a", 0}},
                            {{"c", "a", 0}, {"a b", "c", 1}},
                            {{"a b", "c", 1}}}) {
    EXPECT_TRUE(hashes.insert(Tokenize(other, FindTask("mrpc"), tokenizer_, 128, 1).hash).second);
  }
  EXPECT_EQ(data.Slice(0, 2).hash, data.hash);
  EXPECT_TRUE(hashes.count(data.Slice(0, 1).hash));
  EXPECT_EQ(data.Slice(1, 2).examples[0].ids, data.examples[1].ids);
  EXPECT_EQ(data.Slice(1, 2).classes, 2);
  EXPECT_THROW(data.Slice(1, 3), std::logic_error);
}

TEST_F(DatasetTest, TextSkipsEmptyLinesAndHeadings) {
  const std::string one = scratch_.Write("one.txt", "\n = Title = \n a b \r\n   \n = = Part = = \nc\n");
  const std::string two = scratch_.Write("two.txt", "a = b\nb");
  const Dataset data = TokenizeText({one, two}, 0, tokenizer_, 4, 2);
  EXPECT_EQ(data.classes, 0);
  ASSERT_EQ(data.examples.size(), 4u);
  EXPECT_THAT(data.examples[0].ids, ElementsAre(2, 4, 5, 3));
  EXPECT_THAT(data.examples[1].ids, ElementsAre(2, 6, 3));
  EXPECT_THAT(data.examples[2].ids, ElementsAre(2, 4, 7, 3));
  EXPECT_EQ(data.examples[3].label, -1);
  EXPECT_EQ(TokenizeText({one, two}, 3, tokenizer_, 4, 1).examples.size(), 3u);
}

TEST_F(DatasetTest, TextWithoutALineIsRefused) {
  const std::string path = scratch_.Write("empty.txt", "\n = Title = \n\n");
  EXPECT_THAT(ErrorOf([&] { TokenizeText({path}, 10, tokenizer_, 16, 1); }),
              HasSubstr("empty.txt: no line of text"));
}

TEST(PlanBatchesTest, EveryRowOnce) {
  for (const int rows : {1, 2, 31, 32, 33, 500}) {
    const Dataset data = Ragged(rows, 3);
    for (const int size : {1, 7, 32, 1000}) {
      for (const int width : {0, 1, 8, 512})
        ExpectEveryRowOnce(PlanBatches(data, Plan(size, width), Random(5)), rows, size);
      ExpectEveryRowOnce(PlanEvaluation(data, size), rows, size);
    }
  }
}

TEST(PlanBatchesTest, IsAFunctionOfTheSeed) {
  const Dataset data = Ragged(300, 1);
  for (const int width : {0, 8}) {
    const auto plan = PlanBatches(data, Plan(16, width), Random(1));
    EXPECT_EQ(plan, PlanBatches(data, Plan(16, width), Random(1)));
    EXPECT_NE(plan, PlanBatches(data, Plan(16, width), Random(2)));
  }
}

TEST(PlanBatchesTest, RowsOfOneBatchAreOfLikeLength) {
  const Dataset data = Ragged(2000, 1);
  const auto plan = PlanBatches(data, Plan(16, 8), Random(1));
  // Sorted buckets: between the shortest and the longest row of a batch lies no bucket that another batch
  // could have filled.
  std::map<size_t, int> crossings;
  for (const auto& batch : plan) {
    std::set<size_t> buckets;
    for (const int row : batch) buckets.insert((data.examples[row].ids.size() + 7) / 8);
    EXPECT_LE(buckets.size(), 2u);
    if (buckets.size() == 2) ++crossings[*buckets.begin()];
  }
  for (const auto& [bucket, count] : crossings) EXPECT_EQ(count, 1) << bucket;
  EXPECT_LT(PaddingShare(data, plan), 0.15);
  EXPECT_GT(PaddingShare(data, PlanBatches(data, Plan(16, 0), Random(1))), 0.4);
}

TEST(PlanBatchesTest, RowsAndBatchesAreShuffled) {
  Dataset data = Ragged(320, 1);
  for (auto& example : data.examples) example.ids.resize(10);
  const auto rows = Joined(PlanBatches(data, Plan(16, 8), Random(1)));
  EXPECT_FALSE(std::is_sorted(rows.begin(), rows.end()));
  // Lengths do not rise over the epoch.
  const Dataset ragged = Ragged(320, 1);
  const auto order = Joined(PlanBatches(ragged, Plan(16, 8), Random(1)));
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end(), [&](int a, int b) {
    return ragged.examples[a].ids.size() / 16 < ragged.examples[b].ids.size() / 16;
  }));
}

TEST(PlanEvaluationTest, IsInOrderOfLength) {
  const Dataset data = Ragged(100, 2);
  const auto rows = Joined(PlanEvaluation(data, 8));
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end(), [&](int a, int b) {
    const size_t left = data.examples[a].ids.size(), right = data.examples[b].ids.size();
    return left != right ? left < right : a < b;
  }));
}

}  // namespace
}  // namespace thimble::data
