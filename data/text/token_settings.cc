#include "data/text/token_settings.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.h"
#include "data/readers/table.h"
#include "data/text/json_file.h"

namespace thimble::data {

const std::vector<std::string> kTokenNames = {"bos_token", "eos_token", "unk_token", "sep_token",
                                              "pad_token", "cls_token", "mask_token"};

namespace {

using Json = nlohmann::ordered_json;

bool IsTyped(const Json& value) {
  return value.is_object() && value.contains("__type") && value["__type"] == "AddedToken";
}

bool IsCommonName(const std::string& name) {
  return std::find(kTokenNames.begin(), kTokenNames.end(), name) != kTokenNames.end();
}

StatedToken TokenOf(const std::string& path, const std::string& name, const Json& value) {
  if (value.is_string()) return {.content = value.get<std::string>()};
  if (IsTyped(value)) return ReadToken(path, value);
  throw BadRequest(path, name, Show(value), "a token's spelling, or an object of __type AddedToken");
}

std::vector<StatedToken> TokensOf(const std::string& path, const std::string& name, const Json& value) {
  if (value.is_null()) return {};
  if (!value.is_array()) throw BadRequest(path, name, Show(value), "a list of tokens");
  std::vector<StatedToken> tokens;
  for (const Json& token : value) tokens.push_back(TokenOf(path, name, token));
  return tokens;
}

void Set(std::vector<NamedToken>* named, const std::string& name, std::optional<StatedToken> token) {
  const auto place =
      std::find_if(named->begin(), named->end(), [&](const auto& other) { return other.name == name; });
  if (place == named->end())
    named->push_back({name, std::move(token)});
  else
    place->token = std::move(token);
}

// Follows `from_pretrained` of transformers: tokenizer_config.json, then, unless that lists the added tokens
// by id, what older versions wrote beside it.
class Reader {
 public:
  Reader(const std::string& directory, const TokenIds& fast)
      : map_path_(directory + "/special_tokens_map.json"),
        added_path_(directory + "/added_tokens.json"),
        fast_(fast) {
    settings_.path = directory + "/tokenizer_config.json";
  }

  TokenSettings Read() {
    if (std::filesystem::exists(settings_.path)) config_ = ReadOrderedObject(settings_.path);
    ReadOptions();
    ReadConfigTokens();
    const bool by_id = config_.contains("added_tokens_decoder");
    if (by_id) ReadById();
    ReadSpecialTokensMap(/*taken=*/!by_id);
    ReadAddedTokens(/*taken=*/!by_id);
    if (!by_id) {
      for (const auto& [id, token] : fast_.tokens) AddById(id, token);
    }
    Finish();
    return std::move(settings_);
  }

 private:
  void ReadOptions() {
    const auto text = [&](const char* key) -> std::string {
      const auto found = config_.find(key);
      return found != config_.end() && found->is_string() ? found->get<std::string>() : "";
    };
    settings_.tokenizer_class = text("tokenizer_class");
    const auto flag = [&](const char* key) -> std::optional<bool> {
      if (!config_.contains(key) || config_[key].is_null()) return std::nullopt;
      return Flag(settings_.path, config_, key, false);
    };
    settings_.lower_case = flag("do_lower_case");
    settings_.strip_accents = flag("strip_accents");
    settings_.space_chinese = flag("tokenize_chinese_chars");
    settings_.split_special = flag("split_special_tokens").value_or(false);
    if (const auto found = config_.find("model_input_names"); found != config_.end() && found->is_array())
      settings_.token_types = std::find(found->begin(), found->end(), "token_type_ids") != found->end();
    if (const auto side = text("truncation_side"); !side.empty() && side != "right")
      throw BadRequest(settings_.path, "truncation_side", side, "right");
    if (config_.contains("init_inputs") && !config_["init_inputs"].empty())
      throw BadRequest(settings_.path, "init_inputs", Show(config_["init_inputs"]), "[]");
    if (config_.contains("fast_tokenizer_files") &&
        config_["fast_tokenizer_files"] != Json({"tokenizer.json"}))
      throw BadRequest(settings_.path, "fast_tokenizer_files", Show(config_["fast_tokenizer_files"]),
                       "tokenizer.json");
  }

  void ReadConfigTokens() {
    const std::string& path = settings_.path;
    for (const auto& [name, value] : config_.items()) {
      if (IsCommonName(name)) {
        Set(&settings_.named, name,
            value.is_null() ? std::nullopt : std::optional(TokenOf(path, name, value)));
      } else if (name.ends_with("_token")) {
        if (value.is_string()) Set(&model_specific_, name, TokenOf(path, name, value));
        if (IsTyped(value)) Set(&typed_, name, TokenOf(path, name, value));
      }
    }
    for (const auto& named : settings_.named) {
      settings_.stated_names.emplace_back(path, named);
      if (named.token && !named.token->bare) objects_.push_back(*named.token);
    }
    const Json extra = config_.value("extra_special_tokens", Json());
    const bool replaced = extra.empty() && config_.contains("additional_special_tokens");
    const char* name = replaced ? "additional_special_tokens" : "extra_special_tokens";
    TakeExtra(path, name, replaced ? config_["additional_special_tokens"] : extra, config_.contains(name));
    // Tokens with names leave the other list its place.
    if (extra.is_object() && !replaced && config_.contains("additional_special_tokens"))
      additional_ = TokensOf(path, "additional_special_tokens", config_["additional_special_tokens"]);
    for (const auto& token : extra_.value_or(std::vector<StatedToken>())) {
      if (!token.bare) objects_.push_back(token);
    }
  }

  // An object gives each token a name.
  void TakeExtra(const std::string& path, const std::string& name, const Json& value, bool present) {
    if (value.is_object()) {
      for (const auto& [key, token] : value.items()) Set(&model_specific_, key, TokenOf(path, name, token));
      extra_.reset();
    } else if (present) {
      extra_ = TokensOf(path, name, value);
    }
  }

  void AddById(int64_t id, const StatedToken& token) {
    settings_.by_id.insert_or_assign(id, token);
    by_content_.insert_or_assign(token.content, token);
  }

  void ReadById() {
    const Json& added = config_["added_tokens_decoder"];
    if (!added.is_object())
      throw BadRequest(settings_.path, "added_tokens_decoder", Show(added), "an object: tokens by id");
    TokenIds stated{.path = settings_.path};
    for (const auto& [key, token] : added.items()) {
      if (key.empty() || key.size() > 9 || key.find_first_not_of("0123456789") != std::string::npos)
        throw BadRequest(settings_.path, "added_tokens_decoder", Quoted(key), "ids");
      stated.tokens.emplace_back(std::stoi(key), ReadToken(settings_.path, token));
      AddById(stated.tokens.back().first, stated.tokens.back().second);
    }
    settings_.stated_ids.push_back(std::move(stated));
  }

  void ReadSpecialTokensMap(bool taken) {
    if (!std::filesystem::exists(map_path_)) return;
    const Json map = ReadOrderedObject(map_path_);
    for (const auto& [name, value] : map.items()) {
      const bool list = name == "additional_special_tokens" || name == "extra_special_tokens";
      std::vector<StatedToken> tokens;
      if (list && value.is_array()) {
        tokens = ReadListed(name, value);
        for (const auto& token : tokens)
          settings_.stated_names.emplace_back(map_path_, NamedToken{name, token});
      } else if (!list && name.ends_with("_token") &&
                 (value.is_string() || value.is_object() || value.is_null())) {
        NamedToken named{name, std::nullopt};
        if (value.is_string()) named.token = StatedToken{.content = value.get<std::string>()};
        if (value.is_object()) (named.token = ReadToken(map_path_, value))->special = true;
        settings_.stated_names.emplace_back(map_path_, named);
        if (taken) Set(IsCommonName(name) ? &settings_.named : &typed_, name, named.token);
      }
      if (!taken) continue;
      if (name == "additional_special_tokens") additional_ = tokens;
      if (name == "extra_special_tokens") MergeExtra(value, tokens);
    }
  }

  // Objects in `extra_special_tokens` are tokens; in the older list they are not, and transformers fails.
  std::vector<StatedToken> ReadListed(const std::string& name, const Json& value) {
    if (name != "extra_special_tokens") return TokensOf(map_path_, name, value);
    std::vector<StatedToken> tokens;
    for (const Json& token : value) {
      tokens.push_back(token.is_object() ? ReadToken(map_path_, token) : TokenOf(map_path_, name, token));
      tokens.back().special = tokens.back().special || token.is_object();
    }
    return tokens;
  }

  void MergeExtra(const Json& value, const std::vector<StatedToken>& tokens) {
    if (!value.is_array()) return TakeExtra(map_path_, "extra_special_tokens", value, true);
    if (!extra_) extra_.emplace();
    for (const auto& token : tokens) {
      if (std::find(extra_->begin(), extra_->end(), token) == extra_->end()) extra_->push_back(token);
    }
  }

  void ReadAddedTokens(bool taken) {
    if (!std::filesystem::exists(added_path_)) return;
    // Tokens that tokenizer_config.json gives as objects are not yet told by their spelling here.
    const auto says = [&](const StatedToken& token, const std::string& content) {
      return token.content == content && std::find(objects_.begin(), objects_.end(), token) == objects_.end();
    };
    const auto is_special = [&](const std::string& content) {
      return std::any_of(settings_.named.begin(), settings_.named.end(),
                         [&](const auto& named) { return named.token && says(*named.token, content); }) ||
             (extra_ && std::any_of(extra_->begin(), extra_->end(),
                                    [&](const auto& token) { return says(token, content); }));
    };
    TokenIds stated{.path = added_path_};
    const Json added = ReadOrderedObject(added_path_);
    for (const auto& [content, id] : added.items()) {
      if (!id.is_number_unsigned() || id > INT32_MAX)
        throw BadRequest(added_path_, "the id of " + Quoted(content), Show(id), "a number");
      const bool special = is_special(content);
      stated.tokens.emplace_back(
          id.get<int64_t>(),
          StatedToken{.content = content, .bare = false, .special = special, .normalized = !special});
      if (taken) AddById(stated.tokens.back().first, stated.tokens.back().second);
    }
    settings_.stated_ids.push_back(std::move(stated));
  }

  void Finish() {
    for (auto& [name, token] : settings_.named) {
      if (!token) continue;
      const auto known = by_content_.find(token->content);
      if (known != by_content_.end()) token = known->second;
    }
    for (auto& [name, token] : model_specific_) Set(&typed_, name, token);
    std::copy(typed_.begin(), typed_.end(), std::back_inserter(settings_.named));
    if (!extra_) extra_ = additional_;
    if (extra_) settings_.extra = *extra_;
  }

  std::string map_path_, added_path_;
  const TokenIds& fast_;
  Json config_ = Json::object();
  TokenSettings settings_;
  std::vector<NamedToken> model_specific_, typed_;
  std::optional<std::vector<StatedToken>> extra_, additional_;
  std::vector<StatedToken> objects_;  // of tokenizer_config.json
  std::unordered_map<std::string, StatedToken> by_content_;
};

}  // namespace

TokenSettings ReadTokenSettings(const std::string& directory, const TokenIds& fast) {
  return Reader(directory, fast).Read();
}

}  // namespace thimble::data
