#include "data/text/tokenizer_contradictions.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "data/readers/table.h"

namespace thimble::data {
namespace {

class Comparison {
 public:
  Comparison(const TokenizerFiles& taken, const TokenSettings& settings, const TokenizerChoice& choice)
      : taken_(taken), settings_(settings), choice_(choice) {
    for (const auto& token : taken.added) added_.emplace(token.content, &token);
  }

  void OfVocabulary(const TokenizerJson* json, const VocabularyFile& vocabulary) {
    if (json == nullptr && vocabulary.repeated > 0)
      Info(vocabulary.path + ": " + std::to_string(vocabulary.repeated) + " lines repeat a token, " +
           Quoted(vocabulary.first_repeated) + " of line " + std::to_string(vocabulary.first_line) +
           " first; a token's last line is taken, here line " + std::to_string(vocabulary.taken_line));
    if (json == nullptr) return;
    std::string first;
    size_t count = 0;
    const auto differs = [&](const std::string& token, const std::string& here, const std::string& there) {
      const std::string text = Quoted(token) + " has " + here + " in the one and " + there + " in the other";
      if (count++ == 0 || text < first) first = text;
    };
    for (const auto& [token, id] : vocabulary.pieces) {
      const auto other = IdOf(token);
      if (!token.empty() && other != id)
        differs(token, "id " + std::to_string(id), other ? "id " + std::to_string(*other) : "none");
    }
    for (const auto& [token, id] : json->pieces) {
      if (vocabulary.pieces.find(token) == vocabulary.pieces.end() && !added_.contains(token))
        differs(token, "none", "id " + std::to_string(id));
    }
    if (count > 0)
      Taken(vocabulary.path, json->path, std::to_string(count) + " tokens, " + first, json->path);
  }

  void OfOptions(const TokenizerJson& json) {
    const bool whole = choice_.kind != TokenizerClass::kBert;
    // `used` of texts, where one file states `stated` and the normalizer of tokenizer.json has `normalizer`.
    const auto compare = [&](const char* name, std::optional<bool> stated, bool used, bool normalizer) {
      const bool other = whole ? stated.value_or(used) : used;
      if (other == normalizer) return;
      const auto text = [](bool value) { return value ? "true" : "false"; };
      const std::string path = Source(stated.has_value());
      Taken(path, json.path,
            (stated ? "" : choice_.name + " has ") + name + ": " + text(other) + " in the one, " +
                text(normalizer) + " in the other",
            whole ? json.path : path);
    };
    compare("do_lower_case", settings_.lower_case, taken_.options.lower_case, json.options.lower_case);
    // Unless it just follows the case.
    if (settings_.strip_accents || json.options.strip_accents != json.options.lower_case)
      compare("strip_accents", settings_.strip_accents, taken_.options.strip_accents,
              json.options.strip_accents);
    compare("tokenize_chinese_chars", settings_.space_chinese, taken_.options.space_chinese,
            json.options.space_chinese);
    for (const auto& part : json.foreign)
      Taken(Source(false), json.path, choice_.name + ", and " + part, Source(false));
    if (!whole && json.around && *json.around != std::pair(taken_.begin, taken_.separator))
      Taken(Source(false), json.path, choice_.name + " and a post_processor with other tokens around a text",
            Source(false));
    if (choice_.kind == TokenizerClass::kWholeFile && !json.around)
      Info(json.path +
           ": no post_processor: transformers puts no [CLS] and [SEP] around a text; thimble does, "
           "as a BERT wants it");
  }

  void OfTokenTypes() {
    if (!settings_.token_types)
      Info(settings_.path +
           ": model_input_names has no token_type_ids: transformers gives both texts of a pair "
           "the type 0; thimble gives the second the type 1");
  }

  void OfIds(const TokenIds& stated) {
    std::string first;
    size_t count = 0;
    for (const auto& [id, token] : stated.tokens) {
      const auto added = added_.find(token.content);
      const auto taken = IdOf(token.content);
      std::string says = "id " + std::to_string(id),
                  outcome = !taken ? "none" : "id " + std::to_string(*taken);
      if (taken == id && added != added_.end() && SameFlags(token, *added->second)) continue;
      if (taken == id) says += " with other flags";
      if (taken == id && added == added_.end()) outcome = "a piece of words";
      if (count++ == 0) first = Quoted(token.content) + " has " + says + " there, " + outcome + " as taken";
    }
    if (count == 0) return;
    const bool by_settings = std::any_of(settings_.stated_ids.begin(), settings_.stated_ids.end(),
                                         [&](const auto& ids) { return ids.path == settings_.path; });
    const std::string& other = by_settings && stated.path != settings_.path ? settings_.path : taken_.path;
    const std::string what = std::to_string(count) + " added tokens, " + first;
    if (other == stated.path)
      Info(stated.path + " contradicts itself: " + what + "; tokens are numbered as transformers does");
    else
      Taken(stated.path, other, what, other);
  }

  void OfNames(const std::vector<NamedToken>& names) {
    for (const auto& [path, stated] : settings_.stated_names) {
      if (stated.name == "additional_special_tokens" || stated.name == "extra_special_tokens") {
        if (!IdOf(stated.token->content))
          Taken(path, settings_.path,
                stated.name + " with " + Quoted(stated.token->content) + ", which is not there",
                settings_.path);
        continue;
      }
      const auto taken = std::find_if(names.begin(), names.end(), [&name = stated.name](const auto& named) {
        return named.name == name;
      });
      const auto text = [](const std::optional<StatedToken>& token) {
        return token ? Quoted(token->content) : std::string("null");
      };
      const std::string outcome = text(taken == names.end() ? std::nullopt : taken->token);
      if (text(stated.token) == outcome) continue;
      const std::string other = Other(path);
      Taken(path, other, stated.name + " " + text(stated.token) + " and " + outcome, other);
    }
  }

  std::vector<std::string> Sentences() { return std::move(sentences_); }

 private:
  void Info(const std::string& sentence) { sentences_.push_back(sentence); }
  void Taken(const std::string& a, const std::string& b, const std::string& what, const std::string& taken) {
    Info(a + " and " + b + " contradict each other: " + what + "; " + taken +
         " is taken, as transformers does");
  }
  // The file that says which class reads the directory, or the one with the options.
  std::string Source(bool options) const {
    return options || choice_.path.empty() ? settings_.path : choice_.path;
  }
  // Of the files that name tokens, the one beside `path`.
  std::string Other(const std::string& path) const {
    for (const auto& [other, named] : settings_.stated_names) {
      if (other != path) return other;
    }
    return settings_.path;
  }
  std::optional<int64_t> IdOf(const std::string& content) const {
    if (const auto added = added_.find(content); added != added_.end()) return added->second->id;
    const auto piece = taken_.pieces.find(content);
    return piece == taken_.pieces.end() ? std::nullopt : std::optional<int64_t>(piece->second);
  }
  // What steers the model by its name is special whatever its file says.
  static bool SameFlags(const StatedToken& stated, const AddedToken& taken) {
    AddedToken said = stated.Resolved();
    said.id = taken.id;
    said.special = taken.special;
    said.form = taken.form;
    return said == taken;
  }

  const TokenizerFiles& taken_;
  const TokenSettings& settings_;
  const TokenizerChoice& choice_;
  std::unordered_map<std::string, const AddedToken*> added_;
  std::vector<std::string> sentences_;
};

}  // namespace

std::vector<std::string> FindContradictions(const TokenizerFiles& taken, const std::vector<NamedToken>& names,
                                            const TokenSettings& settings, const TokenizerChoice& choice,
                                            const TokenizerJson* json, const VocabularyFile* vocabulary) {
  Comparison comparison(taken, settings, choice);
  comparison.OfTokenTypes();
  if (vocabulary != nullptr) comparison.OfVocabulary(json, *vocabulary);
  if (json != nullptr) {
    comparison.OfOptions(*json);
    comparison.OfIds(json->added);
  }
  for (const auto& stated : settings.stated_ids) comparison.OfIds(stated);
  comparison.OfNames(names);
  return comparison.Sentences();
}

}  // namespace thimble::data
