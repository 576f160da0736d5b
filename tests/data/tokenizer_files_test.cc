// What the files of a directory say of its tokenizer. The ids are those of transformers 5.23.0;
// drawn_tokenizers_test.py asks it about many more directories.
#include "data/text/tokenizer_files.h"

#include <gmock/gmock.h>

#include <set>

#include "base/hash.h"
#include "data/text/wordpiece.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Ids:                          0      1      2      3      4       5    6    7    8    9      10    11
constexpr char kWords[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nthe\nThe\nday\n##s\nétés\ntete\n";

class TokenizerFilesTest : public testing::Test {
 protected:
  TokenizerFilesTest() {
    scratch_.Write("vocab.txt", kWords);
    scratch_.Write("config.json", R"({"model_type": "bert"})");
  }
  void WriteJson(const std::string& added, const std::string& lowercase) {
    scratch_.Write("tokenizer.json", R"({"version": "1.0", "added_tokens": [)" + added + R"(],
      "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                     "strip_accents": null, "lowercase": )" +
                                         lowercase + R"(},
      "pre_tokenizer": {"type": "BertPreTokenizer"},
      "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]},
      "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 5, "the": 6,
                          "The": 7, "day": 8, "##s": 9, "étés": 10, "tete": 11}}})");
  }
  std::vector<int32_t> Pieces(const std::string& text) { return WordPiece(scratch_.path()).Pieces(text); }
  std::vector<std::string> Warnings() { return ReadTokenizerFiles(scratch_.path()).warnings; }
  std::string Refusal() {
    return ErrorOf([&] { WordPiece{scratch_.path()}; });
  }

  Scratch scratch_;
};

// PreTrainedTokenizerFast reads tokenizer.json, BertTokenizer its own options.
TEST_F(TokenizerFilesTest, TheClassDecidesWhichFileSaysTheCase) {
  WriteJson("", "false");
  scratch_.Write("tokenizer_config.json", R"({"tokenizer_class": "PreTrainedTokenizerFast"})");
  EXPECT_THAT(Pieces("The the"), ElementsAre(7, 6));
  EXPECT_THAT(Warnings(), IsEmpty());
  scratch_.Write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer", "do_lower_case": true})");
  EXPECT_THAT(Pieces("The the"), ElementsAre(6, 6));
  EXPECT_THAT(Warnings(),
              testing::Contains(
                  AllOf(HasSubstr("tokenizer_config.json and "), HasSubstr("tokenizer.json contradict"),
                        HasSubstr("do_lower_case: true"), HasSubstr("tokenizer_config.json is taken"))));
  scratch_.Write("tokenizer_config.json",
                 R"({"tokenizer_class": "TokenizersBackend", "do_lower_case": true})");
  EXPECT_THAT(Pieces("The the"), ElementsAre(7, 6));
  EXPECT_THAT(Warnings(), testing::Contains(HasSubstr("tokenizer.json is taken")));
}

// Where tokenizer_config.json is silent, config.json's class counts, then its model_type's.
TEST_F(TokenizerFilesTest, TheClassOfTheModelCountsWhereNoOtherIsNamed) {
  WriteJson("", "false");
  EXPECT_THAT(Pieces("The"), ElementsAre(6));
  EXPECT_THAT(Warnings(),
              testing::Contains(AllOf(HasSubstr("config.json and "), HasSubstr("BertTokenizer"))));
  scratch_.Write("config.json", R"({"model_type": "bert", "tokenizer_class": "PreTrainedTokenizerFast"})");
  EXPECT_THAT(Pieces("The"), ElementsAre(7));
  scratch_.Write("config.json", R"({"model_type": "bert", "tokenizer_class": "AlbertTokenizer"})");
  EXPECT_THAT(Refusal(), HasSubstr("config.json: another kind of tokenizer; got AlbertTokenizer"));
}

TEST_F(TokenizerFilesTest, AClassThatReadsAMissingFileIsRefused) {
  scratch_.Write("tokenizer_config.json", R"({"tokenizer_class": "PreTrainedTokenizerFast"})");
  EXPECT_THAT(Refusal(), HasSubstr("PreTrainedTokenizerFast reads tokenizer.json, which is missing"));
}

TEST_F(TokenizerFilesTest, AccentsAndChineseCharacters) {
  scratch_.Write("tokenizer_config.json", R"({"do_lower_case": true, "strip_accents": false})");
  EXPECT_THAT(Pieces("Étés"), ElementsAre(10));
  scratch_.Write("tokenizer_config.json", R"({"do_lower_case": false, "strip_accents": true})");
  EXPECT_THAT(Pieces("tété The"), ElementsAre(11, 7));
}

// Text that earlier versions prepared, and weights trained on it, go by this hash.
TEST_F(TokenizerFilesTest, APlainTokenizerKeepsItsHash) {
  const std::string special = "[MASK]\t4\n[PAD]\t0\n[UNK]\t1\n[CLS]\t2\n[SEP]\t3\n";
  EXPECT_EQ(WordPiece(scratch_.path()).hash(), HashHex(kWords + special + "111"));
  scratch_.Write("tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_EQ(WordPiece(scratch_.path()).hash(), HashHex(kWords + special + "001"));
  std::set<std::string> others = {WordPiece(scratch_.path()).hash()};
  for (const char* flags : {R"("special": true, "lstrip": true)", R"("special": true, "single_word": true)",
                            R"("special": true)", R"("special": false, "normalized": true)"}) {
    scratch_.Write("tokenizer_config.json",
                   std::string(R"({"added_tokens_decoder": {"6": {"content": "the", )") + flags +
                       "}}, \"do_lower_case\": false}");
    EXPECT_TRUE(others.insert(WordPiece(scratch_.path()).hash()).second) << flags;
  }
}

// The older files: ids in added_tokens.json, which are special in special_tokens_map.json.
TEST_F(TokenizerFilesTest, AddedTokensOfOlderFiles) {
  scratch_.Write("added_tokens.json", R"({"[E1]": 12, "[/E1]": 13})");
  scratch_.Write("special_tokens_map.json", R"({"additional_special_tokens": ["[E1]", "[/E1]"]})");
  const WordPiece tokenizer(scratch_.path());
  EXPECT_THAT(tokenizer.Pieces("[E1] the [/E1]"), ElementsAre(12, 6, 13));
  EXPECT_EQ(tokenizer.size(), 14);
  EXPECT_THAT(Warnings(), IsEmpty());
}

TEST_F(TokenizerFilesTest, AddedTokensOfTokenizerJsonBesideVocabTxt) {
  WriteJson(R"({"id": 12, "content": "[E1]", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})",
            "true");
  scratch_.Write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer"})");
  EXPECT_THAT(Pieces("[E1] the"), ElementsAre(12, 6));
  EXPECT_THAT(Warnings(), IsEmpty());
}

// added_tokens_decoder ends the older files' say.
TEST_F(TokenizerFilesTest, TheListByIdGoesFirst) {
  scratch_.Write("tokenizer_config.json",
                 R"({"added_tokens_decoder": {"12": {"content": "<x>", "special": true}}})");
  scratch_.Write("added_tokens.json", R"({"<y>": 12})");
  EXPECT_THAT(Pieces("<x>"), ElementsAre(12));
  EXPECT_THAT(Pieces("<y>"), ElementsAre(1, 1, 1));
  EXPECT_THAT(Warnings(),
              testing::Contains(AllOf(HasSubstr("added_tokens.json and "), HasSubstr("\"<y>\" has id 12"),
                                      HasSubstr("tokenizer_config.json is taken"))));
}

TEST_F(TokenizerFilesTest, TokensWithFlagsTakeWhatTheirOffsetsSay) {
  scratch_.Write("tokenizer_config.json", R"({"added_tokens_decoder": {
      "12": {"content": "<l>", "lstrip": true, "special": true},
      "13": {"content": "<r>", "rstrip": true, "special": true},
      "14": {"content": "ay", "single_word": true, "normalized": false},
      "15": {"content": "Tété", "normalized": true}}})");
  const WordPiece tokenizer(scratch_.path());
  const auto offsets = [&](const std::string& text) {
    std::vector<std::pair<uint32_t, uint32_t>> result;
    for (const Offset& offset : tokenizer.PiecesWithOffsets(text).offsets)
      result.emplace_back(offset.begin, offset.end);
    return result;
  };
  EXPECT_THAT(tokenizer.Pieces("a <l>a <r> a"), ElementsAre(5, 12, 5, 13, 5));
  EXPECT_THAT(offsets("a <l>a <r> a"), ElementsAre(std::pair(0, 1), std::pair(1, 5), std::pair(5, 6),
                                                   std::pair(7, 11), std::pair(11, 12)));
  EXPECT_THAT(tokenizer.Pieces("day ay-"), ElementsAre(8, 14, 1));
  EXPECT_THAT(tokenizer.Pieces("TETEs"), ElementsAre(15, 1));  // folded like the text, and within a word
  EXPECT_THAT(offsets("a TÉTÉ"), ElementsAre(std::pair(0, 1), std::pair(2, 8)));
}

TEST_F(TokenizerFilesTest, SpecialTokensUnderOtherNames) {
  scratch_.Write("vocab.txt", "<pad>\n<unk>\n<s>\n</s>\na\n");
  scratch_.Write("tokenizer_config.json",
                 R"({"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"})");
  const WordPiece tokenizer(scratch_.path());
  EXPECT_THAT(tokenizer.Encode("a b <s>", "", false, 16).ids, ElementsAre(2, 4, 1, 2, 3));
  EXPECT_EQ(tokenizer.pad(), 0);
  EXPECT_EQ(tokenizer.mask(), -1);
  EXPECT_EQ(tokenizer.size(), 5);  // without the [MASK] that its class adds and no file names
  scratch_.Write("tokenizer_config.json",
                 R"({"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": null})");
  EXPECT_THAT(Refusal(), HasSubstr("cls_token; got null"));
}

// Older files name the special tokens, too, and go before tokenizer_config.json.
TEST_F(TokenizerFilesTest, TwoNamesForOneSpecialToken) {
  scratch_.Write("tokenizer_config.json", R"({"cls_token": "[CLS]"})");
  scratch_.Write("special_tokens_map.json", R"({"cls_token": "[MASK]"})");
  EXPECT_EQ(WordPiece(scratch_.path()).begin(), 4);
  EXPECT_THAT(Warnings(), ElementsAre(AllOf(HasSubstr("tokenizer_config.json and "),
                                            HasSubstr("special_tokens_map.json is taken"))));
}

TEST_F(TokenizerFilesTest, RepeatedAndBlankLines) {
  scratch_.Write("vocab.txt", std::string(kWords) + "the\n\n \nlast \n");
  const WordPiece tokenizer(scratch_.path());
  EXPECT_THAT(tokenizer.Pieces("the last"), ElementsAre(12, 15));
  EXPECT_EQ(tokenizer.size(), 16);
  EXPECT_THAT(Warnings(), ElementsAre(AllOf(HasSubstr("1 lines repeat a token, \"the\" of line 7"),
                                            HasSubstr("line 13"))));
}

TEST_F(TokenizerFilesTest, VocabulariesThatDiffer) {
  WriteJson("", "true");
  scratch_.Write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\na\n");
  EXPECT_THAT(Pieces("the a"), ElementsAre(6, 5));
  EXPECT_THAT(Warnings(),
              ElementsAre(AllOf(HasSubstr("vocab.txt and "),
                                HasSubstr("7 tokens, \"##s\" has none in the one and id 9 in the other"),
                                HasSubstr("tokenizer.json is taken"))));
}

// Caches are named by it.
TEST_F(TokenizerFilesTest, TheHashCoversWhatIdsFollowFrom) {
  std::set<std::string> hashes;
  for (const char* config :
       {R"({})", R"({"do_lower_case": false})", R"({"strip_accents": false})",
        R"({"tokenize_chinese_chars": false})", R"({"cls_token": "[MASK]"})",
        R"({"split_special_tokens": true})",
        R"({"added_tokens_decoder": {"8": {"content": "day", "normalized": false}}})",
        R"({"added_tokens_decoder": {"8": {"content": "day", "normalized": true}}})",
        R"({"added_tokens_decoder": {"8": {"content": "day", "normalized": true, "lstrip": true}}})",
        R"({"added_tokens_decoder": {"8": {"content": "day", "normalized": true, "rstrip": true}}})",
        R"({"added_tokens_decoder": {"8": {"content": "day", "normalized": true, "single_word": true}}})",
        R"({"extra_special_tokens": ["<x>"]})"}) {
    scratch_.Write("tokenizer_config.json", config);
    EXPECT_TRUE(hashes.insert(WordPiece(scratch_.path()).hash()).second) << config;
  }
}

TEST_F(TokenizerFilesTest, TokenTypesThatAreNotAskedForAreSaid) {
  scratch_.Write("tokenizer_config.json", R"({"model_input_names": ["input_ids", "attention_mask"]})");
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("model_input_names has no token_type_ids")));
  scratch_.Write("tokenizer_config.json",
                 R"({"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]})");
  EXPECT_THAT(Warnings(), IsEmpty());
}

TEST_F(TokenizerFilesTest, WhatIsNotReadIsRefusedByName) {
  const auto refusal = [&](const std::string& config) {
    scratch_.Write("tokenizer_config.json", config);
    return Refusal();
  };
  EXPECT_THAT(refusal(R"({"truncation_side": "left"})"), HasSubstr("truncation_side; got left"));
  EXPECT_THAT(refusal(R"({"init_inputs": ["vocab.txt"]})"), HasSubstr("init_inputs"));
  EXPECT_THAT(refusal(R"({"fast_tokenizer_files": ["tokenizer.4.json"]})"),
              HasSubstr("fast_tokenizer_files"));
  EXPECT_THAT(refusal(R"({"additional_special_tokens": [{"content": "<x>"}]})"),
              HasSubstr("additional_special_tokens; got {\"content\""));
  EXPECT_THAT(refusal(R"({"added_tokens_decoder": {"12": {"content": "é\u0301\u0301"}, "x": {}}})"),
              HasSubstr("added_tokens_decoder; got \"x\""));
  EXPECT_THAT(refusal(R"({"added_tokens_decoder": {"12": {"content": "\u0301", "normalized": true}}})"),
              HasSubstr("nothing is left of the added token"));
  EXPECT_THAT(refusal(R"({"unk_token": "<unk>"})"), HasSubstr("lacks the token <unk>"));
}

}  // namespace
}  // namespace thimble::data
