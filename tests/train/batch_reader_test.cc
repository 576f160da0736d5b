#include "train/batch_reader.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/error.h"
#include "data/corpus.h"
#include "data/masking.h"
#include "proto/task.pb.h"
#include "tests/train/toy.h"
#include "train/batch.h"

namespace thimble::train {
namespace {

namespace fs = std::filesystem;

class FeedTest : public ::testing::Test {
 protected:
  FeedTest() {
    SetTorchThreads(1);
    directory_ = fs::temp_directory_path() / ("thimble_feed_test_" + std::to_string(getpid()));
    fs::create_directories(directory_);
    std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    for (int i = 0; i < 45; ++i) vocabulary += "w" + std::to_string(i) + "\n";
    std::ofstream(directory_ / "vocab.txt") << vocabulary;
    tokenizer_ = std::make_unique<data::WordPiece>(directory_.string());
    Random random(1);
    std::ofstream text(directory_ / "text.txt");
    for (int line = 0; line < 103; ++line) {
      for (uint64_t n = 1 + random.Below(20); n > 0; --n) text << "w" << random.Below(45) << " ";
      text << "\n";
    }
    batching_.set_size(8);
  }
  ~FeedTest() override { fs::remove_all(directory_); }

  std::string TextFile() const { return (directory_ / "text.txt").string(); }
  data::Dataset Streamed(size_t block_rows, bool pairs = false) const {
    return data::StreamedText({.files = {TextFile()},
                               .pairs = pairs,
                               .max_length = 24,
                               .shard_tokens = 300,
                               .block_rows = block_rows},
                              *tokenizer_, (directory_ / "work").string(), 1);
  }
  using Texts = std::vector<std::vector<int32_t>>;
  static Texts Read(BatchReader* feed, int epoch, int64_t batch) {
    const auto part = feed->At(epoch, batch);
    Texts texts;
    for (const int row : *part.rows) texts.push_back(part.data->examples[row].ids);
    return texts;
  }

  fs::path directory_;
  std::unique_ptr<data::WordPiece> tokenizer_;
  proto::Batching batching_;
};

TEST_F(FeedTest, EveryRowOnceAnEpochInAnotherOrder) {
  const auto data = Streamed(20);
  ASSERT_EQ(data.corpus->blocks(), 6u);
  BatchReader feed(data, batching_, 3);
  EXPECT_EQ(feed.rows(), 103);
  EXPECT_EQ(feed.batches(), 5 * 3 + 1);  // blocks of 20 in batches of 8, and of 3
  const auto whole = data::TokenizeText({TextFile()}, 0, *tokenizer_, 24, 1);
  Texts wanted;
  for (const auto& example : whole.examples) wanted.push_back(example.ids);
  std::sort(wanted.begin(), wanted.end());
  std::set<Texts> orders;
  for (int epoch = 0; epoch < 3; ++epoch) {
    Texts all;
    for (int64_t b = 0; b < feed.batches(); ++b) {
      EXPECT_EQ(feed.RowsBefore(epoch, b), static_cast<int64_t>(all.size()));
      const auto batch = Read(&feed, epoch, b);
      EXPECT_LE(batch.size(), 8u);
      all.insert(all.end(), batch.begin(), batch.end());
    }
    EXPECT_TRUE(orders.insert(all).second);
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all, wanted);
  }
}

TEST_F(FeedTest, APositionIsEpochAndBatch) {
  for (const bool pairs : {false, true}) {
    const auto data = Streamed(20, pairs);
    BatchReader in_order(data, batching_, 3);
    for (int epoch = 0; epoch < 2; ++epoch)
      for (int64_t b = 0; b < in_order.batches(); ++b) {
        const auto wanted = Read(&in_order, epoch, b);
        BatchReader resumed(data, batching_, 3);
        EXPECT_EQ(Read(&resumed, epoch, b), wanted);
        if (b + 1 < in_order.batches()) {
          BatchReader jumping(data, batching_, 3);
          Read(&jumping, epoch, in_order.batches() - 1);
          EXPECT_EQ(Read(&jumping, epoch, b), wanted);
        }
      }
  }
}

TEST_F(FeedTest, ACorpusOfOneBlockTrainsAsTheDataset) {
  const auto streamed = Streamed(1000);
  const auto whole = data::TokenizeText({TextFile()}, 0, *tokenizer_, 24, 1);
  const auto teacher = ToyTeacher(4);
  std::vector<std::vector<std::string>> bytes;
  for (const auto* data : {&whole, &streamed}) {
    auto student = ToyModel(ToyArchitecture(24), 5, 32);
    Job job;
    job.what = "text";
    job.recipe = ToyRecipe("loss { hidden_states {} }", 2);
    job.deployment.set_threads(1);
    job.sources[0].train = data;
    job.sources[0].teacher = &teacher;
    job.members = {{.name = "student", .models = {&student}}};
    EXPECT_EQ(Train(job)[0].steps, 2 * 13);
    bytes.push_back(Bytes(student));
  }
  EXPECT_EQ(bytes[0], bytes[1]);
}

TEST_F(FeedTest, ACorpusTooLongForTheModelIsRefused) {
  auto student = ToyModel(ToyArchitecture(24), 5, 32);
  student.shape.positions = 20;
  EXPECT_THROW(CheckFits(student, Streamed(20), "the student"), Error);
  student.shape.positions = 24;
  student.shape.vocabulary = 49;
  EXPECT_THROW(CheckFits(student, Streamed(20), "the student"), Error);
  student.shape.vocabulary = 50;
  EXPECT_NO_THROW(CheckFits(student, Streamed(20), "the student"));
}

TEST_F(FeedTest, MaskedBatches) {
  const auto data = data::TokenizeText({TextFile()}, 0, *tokenizer_, 24, 1);
  const std::vector<int> rows = {5, 40, 17};
  const auto plain = MakeBatch(data, rows);
  const auto batch = MakeMaskedBatch(data, rows, *tokenizer_, {}, Random(1));
  ASSERT_EQ(batch.labels.sizes(), batch.ids.sizes());
  EXPECT_TRUE(at::equal(batch.mask, plain.mask));
  const at::Tensor hidden = batch.labels >= 0;
  EXPECT_TRUE(at::equal(at::where(hidden, batch.labels, batch.ids), plain.ids));
  EXPECT_GE(hidden.sum().item<int64_t>(), 3);
  EXPECT_EQ((hidden & (plain.mask == 0)).sum().item<int64_t>(), 0);
  for (int64_t b = 0; b < 3; ++b) {
    const data::Masked alone = data::Mask(data.examples[rows[b]], *tokenizer_, {},
                                          Random(1).Fork("row", static_cast<uint64_t>(rows[b])));
    for (size_t t = 0; t < alone.ids.size(); ++t) {
      EXPECT_EQ(batch.ids[b][static_cast<int64_t>(t)].item<int64_t>(), alone.ids[t]);
      EXPECT_EQ(batch.labels[b][static_cast<int64_t>(t)].item<int64_t>(), alone.targets[t]);
    }
  }
}

}  // namespace
}  // namespace thimble::train
