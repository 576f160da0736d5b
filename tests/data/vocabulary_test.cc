#include "data/text/vocabulary.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "base/files.h"
#include "data/text/wordpiece.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// By hand: l+##o comes 5 times, lo+##w 5, ##e+##r 4 (n ##e ##w ##e ##r twice, low ##e ##r twice).
TEST(VocabularyTest, FrequentPairsAreJoined) {
  const Scratch scratch;
  const std::string text = scratch.Write("text.txt", "Low low low\nlower lower newer newer x");
  const auto tokens = TrainVocabulary({text}, {.size = 18}, 2);
  ASSERT_EQ(tokens.size(), 18u);
  EXPECT_THAT(std::vector<std::string>(tokens.begin(), tokens.begin() + 5),
              ElementsAre("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"));
  EXPECT_THAT(std::vector<std::string>(tokens.begin() + 5, tokens.begin() + 12),
              ElementsAre("##e", "##o", "##r", "##w", "l", "n", "x"));
  EXPECT_EQ(tokens[12], "##ow");  // 5 times, as "lo" is; its pieces are older
  EXPECT_EQ(tokens[13], "low");
  EXPECT_EQ(tokens[14], "##er");
  EXPECT_EQ(TrainVocabulary({text}, {.size = 18}, 1), tokens);
  EXPECT_THAT(ErrorOf([&] { TrainVocabulary({text}, {.size = 9}, 1); }),
              HasSubstr("too small for the alphabet; got 9; accepted: at least 12"));
  EXPECT_THAT(ErrorOf([&] { TrainVocabulary({scratch.Write("empty.txt", " \n")}, {}, 1); }),
              HasSubstr("no word of text"));
}

TEST(VocabularyTest, RareCharactersAndPairsStayOut) {
  const Scratch scratch;
  const std::string text = scratch.Write("text.txt", "aa aa aa bb bb c");
  EXPECT_THAT(TrainVocabulary({text}, {.size = 100, .min_frequency = 3, .alphabet = 2}, 1),
              ElementsAre("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##a", "##b", "a", "b", "aa"));
}

// A language without a teacher's vocabulary: unseen text is covered, in pieces of more than a character.
TEST(VocabularyTest, Nepali) {
  const std::string corpus = THIMBLE_SOURCE_DIR "/../shared/data/corpus/nepali/";
  if (!std::filesystem::exists(corpus)) GTEST_SKIP() << "no corpus at " << corpus;
  const VocabularyOptions options{.size = 8000, .basic = {.strip_accents = false}};
  const auto tokens =
      TrainVocabulary({corpus + "wikipedia.dev.ne-en.ne", corpus + "wikipedia.devtest.ne-en.ne"}, options, 2);
  EXPECT_EQ(tokens.size(), 8000u);
  const Scratch scratch;
  std::string text;
  for (const auto& token : tokens) text += token + "\n";
  scratch.Write("vocab.txt", text);
  scratch.Write("tokenizer_config.json", R"({"strip_accents": false})");
  const WordPiece tokenizer(scratch.path());
  const std::string unseen = ReadFile(corpus + "wikipedia.test.ne-en.ne");
  const auto ids = tokenizer.Pieces(unseen);
  EXPECT_LT(static_cast<double>(std::count(ids.begin(), ids.end(), 1)),
            0.001 * static_cast<double>(ids.size()));
  // Devanagari takes three bytes a character; a word of the test file has 6 characters on average.
  EXPECT_LT(static_cast<double>(ids.size()), static_cast<double>(unseen.size()) / 3 / 2.5);
}

}  // namespace
}  // namespace thimble::data
