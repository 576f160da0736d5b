#include "data/tokenizer_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "data/table.h"

namespace thimble::data {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr size_t kMaxBytes = size_t{1} << 28;
constexpr size_t kMaxTokens = size_t{1} << 24;
constexpr std::array<const char*, 5> kSpecial = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

std::string Show(const Json& value) {
  return value.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 60);
}

std::vector<std::string> ReadVocabulary(const std::string& path) {
  const MappedFile file(path);
  std::string_view bytes = file.bytes();
  if (bytes.size() > kMaxBytes)
    throw BadRequest(path, "too large for a vocabulary", std::to_string(bytes.size()) + " bytes");
  std::vector<std::string> tokens;
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    tokens.emplace_back(line);
    if (!IsUtf8(line)) throw BadRequest(path + ":" + std::to_string(tokens.size()), "invalid UTF-8");
  }
  if (tokens.empty()) throw BadRequest(path, "empty vocabulary", "", "one token a line");
  return tokens;
}

Json ReadObject(const std::string& path) {
  constexpr int kMaxDepth = 64;
  const MappedFile file(path);
  if (file.bytes().size() > kMaxBytes)
    throw BadRequest(path, "too large", std::to_string(file.bytes().size()) + " bytes");
  const auto json = Json::parse(
      file.bytes(), [](int depth, Json::parse_event_t, Json&) { return depth < kMaxDepth; },
      /*allow_exceptions=*/false);
  if (!json.is_object()) throw BadRequest(path, "not a JSON object");
  return json;
}

bool Flag(const std::string& path, const Json& object, const char* key, bool fallback) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return fallback;
  if (!found->is_boolean()) throw BadRequest(path, key, Show(*found), "true, false");
  return found->get<bool>();
}

// `type` of a part of tokenizer.json.
std::string TypeOf(const Json& part) {
  return part.is_object() && part.contains("type") && part["type"].is_string()
             ? part["type"].get<std::string>()
             : "none";
}

void Expect(const std::string& path, const Json& json, const char* part, const std::string& type) {
  const std::string got = json.contains(part) ? TypeOf(json[part]) : "none";
  if (got != type) throw BadRequest(path, std::string("another kind of tokenizer: ") + part, got, type);
}

// A token that stands in a text by itself. Only those that are looked for in the text as it is, letter by
// letter.
void AddToken(const std::string& path, const Json& token, int id, TokenizerFiles* files) {
  if (!token.is_object() || !token.contains("content") || !token["content"].is_string())
    throw BadRequest(path, "an added token is not an object with its content", Show(token));
  const auto content = token["content"].get<std::string>();
  if (content.empty()) throw BadRequest(path, "an added token is empty");
  for (const char* flag : {"lstrip", "rstrip", "single_word", "normalized"}) {
    if (Flag(path, token, flag, false))
      throw BadRequest(path, "the added token " + Quoted(content) + " has " + flag + ": true", "", "false");
  }
  if (id < 0 || id > static_cast<int>(files->tokens.size()))
    throw BadRequest(path, "the added token " + Quoted(content) + " has an id outside the vocabulary",
                     std::to_string(id));
  if (id == static_cast<int>(files->tokens.size())) files->tokens.push_back(content);
  if (files->tokens[id] != content)
    throw BadRequest(path, "the added token " + Quoted(content) + " is another one in the vocabulary",
                     Quoted(files->tokens[id]));
  if (std::find(files->special.begin(), files->special.end(), content) == files->special.end())
    files->special.push_back(content);
}

void ReadConfig(const std::string& path, TokenizerFiles* files) {
  if (!fs::exists(path)) return;
  const Json json = ReadObject(path);
  if (const auto kind = json.find("tokenizer_class"); kind != json.end() && kind->is_string()) {
    constexpr std::array<const char*, 8> kWordPiece = {"Bert",        "DistilBert",         "Electra",
                                                       "MobileBert",  "ConvBert",           "LayoutLM",
                                                       "SqueezeBert", "PreTrainedTokenizer"};
    const auto name = kind->get<std::string>();
    if (std::none_of(kWordPiece.begin(), kWordPiece.end(),
                     [&](const char* known) { return name.starts_with(known); }) ||
        name.find("Japanese") != std::string::npos)
      throw BadRequest(path, "another kind of tokenizer", name, "BertTokenizer and its like (WordPiece)");
  }
  files->options.lower_case = Flag(path, json, "do_lower_case", true);
  files->options.strip_accents = Flag(path, json, "strip_accents", files->options.lower_case);
  files->options.space_chinese = Flag(path, json, "tokenize_chinese_chars", true);
  const auto added = json.find("added_tokens_decoder");
  if (added == json.end() || !added->is_object()) return;
  std::vector<std::pair<int, const Json*>> tokens;
  for (const auto& [key, token] : added->items()) {
    if (key.empty() || key.size() > 9 || key.find_first_not_of("0123456789") != std::string::npos)
      throw BadRequest(path, "added_tokens_decoder", Quoted(key), "ids");
    tokens.emplace_back(std::stoi(key), &token);
  }
  std::sort(tokens.begin(), tokens.end());
  for (const auto& [id, token] : tokens) AddToken(path, *token, id, files);
}

TokenizerFiles ReadTokenizerJson(const std::string& path) {
  TokenizerFiles files{.path = path};
  const Json json = ReadObject(path);
  Expect(path, json, "model", "WordPiece");
  Expect(path, json, "normalizer", "BertNormalizer");
  Expect(path, json, "pre_tokenizer", "BertPreTokenizer");
  const Json& model = json["model"];
  if (!model.contains("vocab") || !model["vocab"].is_object() || model["vocab"].empty())
    throw BadRequest(path, "model.vocab is not an object of tokens");
  const Json& vocabulary = model["vocab"];
  files.tokens.resize(vocabulary.size());
  std::vector<bool> seen(vocabulary.size());
  for (const auto& [token, id] : vocabulary.items()) {
    if (!id.is_number_unsigned() || id >= vocabulary.size() || vocabulary.size() > kMaxTokens ||
        seen[id.get<size_t>()])
      throw BadRequest(path, "model.vocab: the id of " + Quoted(token), Show(id),
                       "each of 0 to the last once");
    seen[id.get<size_t>()] = true;
    files.tokens[id.get<size_t>()] = token;
  }
  const auto same = [&](const char* key, const Json& wanted) {
    if (model.contains(key) && model[key] != wanted)
      throw BadRequest(path, std::string("model.") + key, Show(model[key]), wanted.dump());
  };
  same("unk_token", "[UNK]");
  same("continuing_subword_prefix", "##");
  same("max_input_chars_per_word", 100);
  const Json& normalizer = json["normalizer"];
  if (!Flag(path, normalizer, "clean_text", true))
    throw BadRequest(path, "normalizer.clean_text", "false", "true");
  files.options.lower_case = Flag(path, normalizer, "lowercase", true);
  files.options.strip_accents = Flag(path, normalizer, "strip_accents", files.options.lower_case);
  files.options.space_chinese = Flag(path, normalizer, "handle_chinese_chars", true);
  if (json.contains("added_tokens") && json["added_tokens"].is_array()) {
    for (const Json& token : json["added_tokens"]) {
      const bool has_id = token.is_object() && token.contains("id") && token["id"].is_number_unsigned();
      AddToken(path, token, has_id && token["id"] < kMaxTokens ? token["id"].get<int>() : -1, &files);
    }
  }
  return files;
}

}  // namespace

TokenizerFiles ReadTokenizerFiles(const std::string& path) {
  fs::path file = path;
  if (fs::is_directory(file)) {
    file /= "vocab.txt";
    if (!fs::exists(file) && fs::exists(fs::path(path) / "tokenizer.json"))
      file = fs::path(path) / "tokenizer.json";
  }
  if (file.extension() == ".json") return ReadTokenizerJson(file.string());
  TokenizerFiles files{.path = file.string(), .tokens = ReadVocabulary(file.string())};
  for (const char* token : kSpecial) {
    if (std::find(files.tokens.begin(), files.tokens.end(), token) != files.tokens.end())
      files.special.emplace_back(token);
  }
  ReadConfig(fs::path(file).replace_filename("tokenizer_config.json").string(), &files);
  return files;
}

}  // namespace thimble::data
