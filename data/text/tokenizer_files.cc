#include "data/text/tokenizer_files.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "data/readers/table.h"
#include "data/text/characters.h"
#include "data/text/token_settings.h"
#include "data/text/tokenizer_class.h"
#include "data/text/tokenizer_contradictions.h"
#include "data/text/tokenizer_json.h"
#include "data/text/vocabulary_file.h"

namespace thimble::data {
namespace {

namespace fs = std::filesystem;

struct DefaultToken {
  const char* name;
  const char* content;
};
// In the order of kTokenNames.
constexpr std::array<DefaultToken, 5> kDefaults = {{{"unk_token", "[UNK]"},
                                                    {"sep_token", "[SEP]"},
                                                    {"pad_token", "[PAD]"},
                                                    {"cls_token", "[CLS]"},
                                                    {"mask_token", "[MASK]"}}};

class Assembly {
 public:
  explicit Assembly(const std::string& path) {
    const bool directory = fs::is_directory(path);
    const fs::path folder = directory ? fs::path(path) : fs::path(path).parent_path();
    const fs::path json = directory ? folder / "tokenizer.json" : fs::path(path);
    const bool alone = !directory && json.extension() == ".json";
    if (alone) choice_ = {TokenizerClass::kWholeFile, "TokenizersBackend", ""};
    if (!alone) choice_ = ChooseTokenizerClass(folder.empty() ? "." : folder.string());
    if (alone || (directory && fs::exists(json)))
      json_ = ReadTokenizerJson(json.string(), choice_.kind != TokenizerClass::kBert);
    else if (directory && choice_.kind == TokenizerClass::kWholeFile)
      throw BadRequest(choice_.path,
                       "the tokenizer_class " + choice_.name + " reads tokenizer.json, which is missing", "",
                       "tokenizer.json, or the class BertTokenizer");
    else
      choice_.kind = TokenizerClass::kBert;
    const fs::path vocabulary = directory ? folder / "vocab.txt" : fs::path(path);
    if (!json_ || (directory && fs::exists(vocabulary)))
      vocabulary_ = ReadVocabularyFile(vocabulary.string());
    if (!alone)
      settings_ =
          ReadTokenSettings(folder.empty() ? "." : folder.string(), json_ ? json_->added : TokenIds{});
    files_.path = json_ ? json_->path : vocabulary_->path;
    files_.pieces = json_ ? json_->pieces : vocabulary_->pieces;
  }

  TokenizerFiles Assemble() {
    if (whole()) {
      files_.options = json_->options;
    } else {
      files_.options.lower_case = settings_.lower_case.value_or(true);
      files_.options.strip_accents = settings_.strip_accents.value_or(files_.options.lower_case);
      files_.options.space_chinese = settings_.space_chinese.value_or(true);
    }
    files_.split_special = settings_.split_special;
    NameTokens();
    AddTokens();
    FindIds();
    files_.size = Size();
    files_.warnings = FindContradictions(files_, names_, settings_, choice_, json_ ? &*json_ : nullptr,
                                         vocabulary_ ? &*vocabulary_ : nullptr);
    return std::move(files_);
  }

 private:
  bool whole() const { return choice_.kind != TokenizerClass::kBert; }
  // Brings its own special tokens where the files name none.
  bool bert() const { return choice_.kind != TokenizerClass::kWholeFile; }

  // The common names in their order, then the others.
  void NameTokens() {
    for (const auto& name : kTokenNames) {
      const auto stated = std::find_if(settings_.named.begin(), settings_.named.end(),
                                       [&](const auto& named) { return named.name == name; });
      const auto fallback = std::find_if(kDefaults.begin(), kDefaults.end(),
                                         [&](const auto& token) { return name == token.name; });
      if (stated != settings_.named.end()) {
        if (bert() && !stated->token && fallback != kDefaults.end() && name != "mask_token")
          throw BadRequest(settings_.path, name, "null", "a token");
        if (stated->token) names_.push_back(*stated);
      } else if (bert() && fallback != kDefaults.end()) {
        names_.push_back({name, StatedToken{.content = fallback->content}});
        defaults_.push_back(fallback->content);
      }
    }
    for (const auto& named : settings_.named) {
      if (named.token && std::find(kTokenNames.begin(), kTokenNames.end(), named.name) == kTokenNames.end())
        names_.push_back(named);
    }
  }

  // As the constructor of transformers' TokenizersBackend does.
  void AddTokens() {
    const BasicTokenizer normalizer(files_.options);
    std::vector<AddedToken> first;
    if (whole()) {
      for (const auto& [id, token] : json_->added.tokens) first.push_back(token.Resolved());
    }
    list_.Add(first, normalizer);
    std::vector<StatedToken> more;
    for (const auto& [id, token] : settings_.by_id) more.push_back(token);
    const size_t known = more.size();
    const auto add = [&](const StatedToken& token) {
      const bool there = list_.Finds(token.content) ||
                         std::any_of(more.begin(), more.begin() + static_cast<std::ptrdiff_t>(known),
                                     [&](const auto& other) { return other.content == token.content; });
      if (!there && std::find(more.begin(), more.end(), token) == more.end()) more.push_back(token);
    };
    for (const auto& named : names_) add(*named.token);
    for (const auto& token : settings_.extra) add(token);
    std::vector<AddedToken> second;
    for (StatedToken token : more) {
      token.special = token.special || token.bare ||
                      std::any_of(names_.begin(), names_.end(),
                                  [&](const auto& named) { return named.token->content == token.content; });
      second.push_back(token.Resolved());
    }
    list_.Add(second, normalizer);
    files_.added = list_.tokens();
  }

  // -1 where no file has it.
  int32_t IdOf(const std::string& content) const { return OnlyByDefault(content) ? -1 : list_.IdOf(content); }

  // The class puts it behind the vocabulary; the model has no row for it.
  bool OnlyByDefault(const std::string& content) const {
    const auto says = [&](const StatedToken& token) { return token.content == content; };
    return std::find(defaults_.begin(), defaults_.end(), content) != defaults_.end() &&
           files_.pieces.find(content) == files_.pieces.end() &&
           std::none_of(settings_.by_id.begin(), settings_.by_id.end(),
                        [&](const auto& token) { return says(token.second); }) &&
           std::none_of(settings_.extra.begin(), settings_.extra.end(), says) &&
           (!whole() || std::none_of(json_->added.tokens.begin(), json_->added.tokens.end(),
                                     [&](const auto& token) { return says(token.second); }));
  }

  int32_t NamedId(const char* name, const char* fallback, bool required) const {
    const auto named =
        std::find_if(names_.begin(), names_.end(), [&](const auto& token) { return token.name == name; });
    const std::string content = named == names_.end() ? fallback : named->token->content;
    const int32_t id = IdOf(content);
    if (id < 0 && required) throw BadRequest(files_.path, "lacks the token " + content);
    return id;
  }

  void FindIds() {
    files_.pad = NamedId("pad_token", "[PAD]", true);
    const std::string unknown = whole() ? json_->unknown : Content("unk_token");
    const auto piece = files_.pieces.find(unknown);
    if (piece == files_.pieces.end()) throw BadRequest(files_.path, "lacks the token " + unknown);
    files_.unknown = piece->second;
    if (!bert() && json_->around) {
      std::tie(files_.begin, files_.separator) = *json_->around;
    } else {
      files_.begin = NamedId("cls_token", "[CLS]", true);
      files_.separator = NamedId("sep_token", "[SEP]", true);
    }
    files_.mask = NamedId("mask_token", "[MASK]", false);
  }

  std::string Content(const char* name) const {
    return std::find_if(names_.begin(), names_.end(), [&](const auto& token) { return token.name == name; })
        ->token->content;
  }

  int32_t Size() const {
    int32_t size = 0;
    for (const auto& [content, id] : files_.pieces) size = std::max(size, id + 1);
    for (const auto& token : files_.added) {
      if (!OnlyByDefault(token.content)) size = std::max(size, token.id + 1);
    }
    return size;
  }

  TokenizerChoice choice_;
  std::optional<TokenizerJson> json_;
  std::optional<VocabularyFile> vocabulary_;
  TokenSettings settings_;
  TokenizerFiles files_;
  AddedTokenList list_{&files_.pieces};
  std::vector<NamedToken> names_;      // those that are not null
  std::vector<std::string> defaults_;  // of the class, named by no file
};

}  // namespace

TokenizerFiles ReadTokenizerFiles(const std::string& path) { return Assembly(path).Assemble(); }

}  // namespace thimble::data
