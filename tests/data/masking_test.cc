#include "data/masking.h"

#include <gmock/gmock.h>

#include <map>

#include "proto/task.pb.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using ::testing::HasSubstr;

class MaskingTest : public ::testing::Test {
 protected:
  MaskingTest() {
    std::string text = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    for (int i = 0; i < 500; ++i) text += "w" + std::to_string(i) + "\n##p" + std::to_string(i) + "\n";
    tokenizer_ = std::make_unique<WordPiece>(scratch_.Write("vocab.txt", text));
    // Words of one, two and three pieces: 60 tokens of 30 words.
    example_.ids = {2};
    for (int word = 0; word < 30; ++word) {
      example_.ids.push_back(5 + 2 * word);
      for (int piece = 0; piece < word % 3; ++piece) example_.ids.push_back(6 + 2 * word);
    }
    example_.ids.push_back(3);
  }

  const Scratch scratch_;
  std::unique_ptr<WordPiece> tokenizer_;
  Example example_;
  proto::Masking masking_;
};

TEST_F(MaskingTest, SharesAreThoseOfThePaper) {
  std::map<std::string, double> counts;
  constexpr int kRounds = 2000;
  for (int round = 0; round < kRounds; ++round) {
    const Masked masked = Mask(example_, *tokenizer_, masking_, Random(round));
    int predicted = 0;
    for (size_t i = 0; i < masked.ids.size(); ++i) {
      if (masked.targets[i] < 0) {
        EXPECT_EQ(masked.ids[i], example_.ids[i]);
        continue;
      }
      EXPECT_EQ(masked.targets[i], example_.ids[i]);
      EXPECT_NE(i, 0u);
      EXPECT_NE(i, masked.ids.size() - 1);
      ++predicted;
      ++counts[masked.ids[i] == 4 ? "mask" : masked.ids[i] == example_.ids[i] ? "same" : "other"];
    }
    EXPECT_EQ(predicted, 9);  // 15% of 60
  }
  const double all = 9 * kRounds;
  EXPECT_NEAR(counts["mask"] / all, 0.8, 0.012);  // four standard errors of 18000 draws
  EXPECT_NEAR(counts["other"] / all, 0.1, 0.009);
  EXPECT_NEAR(counts["same"] / all, 0.1, 0.009);
}

TEST_F(MaskingTest, WholeWords) {
  masking_.set_whole_words(true);
  for (int round = 0; round < 200; ++round) {
    const Masked masked = Mask(example_, *tokenizer_, masking_, Random(round));
    int predicted = 0;
    for (size_t i = 1; i + 1 < masked.ids.size(); ++i) {
      predicted += masked.targets[i] >= 0;
      if (tokenizer_->Continues(example_.ids[i]))
        EXPECT_EQ(masked.targets[i] >= 0, masked.targets[i - 1] >= 0);
    }
    EXPECT_EQ(predicted, 9);  // words of one piece fill what is left
  }
}

TEST_F(MaskingTest, IsAFunctionOfTheSeed) {
  EXPECT_EQ(Mask(example_, *tokenizer_, masking_, Random(1)).ids,
            Mask(example_, *tokenizer_, masking_, Random(1)).ids);
  EXPECT_NE(Mask(example_, *tokenizer_, masking_, Random(1)).targets,
            Mask(example_, *tokenizer_, masking_, Random(2)).targets);
}

TEST_F(MaskingTest, Borders) {
  example_.ids = {2, 3};
  EXPECT_EQ(Mask(example_, *tokenizer_, masking_, Random(1)).ids, example_.ids);
  example_.ids = {2, 7, 3};
  EXPECT_EQ(Mask(example_, *tokenizer_, masking_, Random(1)).targets[1], 7);
  masking_.set_replace(0.3);
  EXPECT_THAT(ErrorOf([&] { Mask(example_, *tokenizer_, masking_, Random(1)); }),
              HasSubstr("a sum of at most 1"));
}

}  // namespace
}  // namespace thimble::data
