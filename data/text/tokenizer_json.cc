#include "data/text/tokenizer_json.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/readers/table.h"
#include "data/text/json_file.h"

namespace thimble::data {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxTokens = size_t{1} << 24;

// `type` of a part.
std::string TypeOf(const Json& json, const char* part) {
  if (!json.contains(part) || !json[part].is_object()) return "none";
  const Json& object = json[part];
  return object.contains("type") && object["type"].is_string() ? object["type"].get<std::string>() : "none";
}

// A piece of a TemplateProcessing as "id:type_id".
std::string PieceName(const Json& piece) {
  for (const char* kind : {"SpecialToken", "Sequence"}) {
    if (!piece.is_object() || !piece.contains(kind) || !piece[kind].is_object()) continue;
    const Json& body = piece[kind];
    if (body.contains("id") && body["id"].is_string() && body.contains("type_id"))
      return (kind[1] == 'p' ? "" : "$") + body["id"].get<std::string>() + ":" + body["type_id"].dump();
  }
  return "?";
}

std::string Pieces(const Json& pieces) {
  std::string text;
  if (!pieces.is_array()) return "?";
  for (const Json& piece : pieces) text += (text.empty() ? "" : " ") + PieceName(piece);
  return text;
}

class Reader {
 public:
  Reader(const std::string& path, bool whole) : whole_(whole), json_(ReadObject(path)) {
    result_.path = path;
  }

  TokenizerJson Read() {
    // Pieces of another model are no word pieces, whoever reads them.
    if (const auto type = TypeOf(json_, "model"); type != "WordPiece")
      throw BadRequest(result_.path, "another kind of tokenizer: model", type, "WordPiece");
    ReadModel(json_["model"]);
    ReadAdded();
    if (ExpectType("normalizer", "BertNormalizer")) ReadNormalizer(json_["normalizer"]);
    ExpectType("pre_tokenizer", "BertPreTokenizer");
    ReadPostProcessor();
    if (json_.contains("truncation") && json_["truncation"].is_object())
      Expect("truncation.direction", json_["truncation"].value("direction", Json("Right")), "Right");
    return std::move(result_);
  }

 private:
  void Refuse(const std::string& part, const std::string& got, const std::string& accepted) {
    if (whole_) throw BadRequest(result_.path, part, got, accepted);
    result_.foreign.push_back(part + " is " + got);
  }

  bool ExpectType(const char* part, const std::string& type) {
    const std::string got = TypeOf(json_, part);
    if (got != type) Refuse("another kind of tokenizer: " + std::string(part), got, type);
    return got == type;
  }

  void Expect(const std::string& part, const Json& value, const Json& wanted) {
    if (value != wanted) Refuse(part, Show(value), wanted.dump());
  }

  void ReadModel(const Json& model) {
    const std::string& path = result_.path;
    if (!model.contains("vocab") || !model["vocab"].is_object() || model["vocab"].empty())
      throw BadRequest(path, "model.vocab is not an object of tokens");
    const Json& vocabulary = model["vocab"];
    std::vector<bool> seen;
    for (const auto& [token, id] : vocabulary.items()) {
      const size_t number = id.is_number_unsigned() ? id.get<size_t>() : kMaxTokens;
      if (number >= kMaxTokens || (number < seen.size() && seen[number]))
        throw BadRequest(path, "model.vocab: the id of " + Quoted(token), Show(id),
                         "each of 0 to the last once at most");
      if (number >= seen.size()) seen.resize(number + 1);
      seen[number] = true;
      result_.pieces.emplace(token, static_cast<int32_t>(number));
    }
    const auto unknown = model.find("unk_token");
    result_.unknown = unknown != model.end() && unknown->is_string() ? unknown->get<std::string>() : "[UNK]";
    if (result_.pieces.find(result_.unknown) == result_.pieces.end())
      Refuse("model.unk_token", Show(Json(result_.unknown)), "a token of model.vocab");
    Expect("model.continuing_subword_prefix", model.value("continuing_subword_prefix", Json("##")), "##");
    Expect("model.max_input_chars_per_word", model.value("max_input_chars_per_word", Json(100)), 100);
  }

  void ReadAdded() {
    result_.added.path = result_.path;
    if (!json_.contains("added_tokens") || !json_["added_tokens"].is_array()) return;
    for (const Json& token : json_["added_tokens"]) {
      StatedToken stated = ReadToken(result_.path, token);
      if (!token.contains("id") || !token["id"].is_number_unsigned() || token["id"] >= kMaxTokens)
        throw BadRequest(result_.path, "the added token " + Quoted(stated.content) + " has no id",
                         Show(token.value("id", Json())), "a number");
      result_.added.tokens.emplace_back(token["id"].get<int64_t>(), std::move(stated));
    }
  }

  void ReadNormalizer(const Json& normalizer) {
    const std::string& path = result_.path;
    if (!Flag(path, normalizer, "clean_text", true)) Refuse("normalizer.clean_text", "false", "true");
    result_.options.lower_case = Flag(path, normalizer, "lowercase", true);
    result_.options.strip_accents = Flag(path, normalizer, "strip_accents", result_.options.lower_case);
    result_.options.space_chinese = Flag(path, normalizer, "handle_chinese_chars", true);
  }

  // [CLS] A [SEP] and [CLS] A [SEP] B [SEP], the second text's tokens of type 1.
  void ReadPostProcessor() {
    const std::string type = TypeOf(json_, "post_processor");
    if (type == "none") return;
    const Json& processor = json_["post_processor"];
    if (type == "TemplateProcessing") return ReadTemplate(processor);
    if (type != "BertProcessing") return Refuse("post_processor", type, "TemplateProcessing, BertProcessing");
    const auto id = [&](const char* key) {
      const Json token = processor.value(key, Json());
      return token.is_array() && token.size() == 2 && token[1].is_number_unsigned() && token[1] < kMaxTokens
                 ? token[1].get<int32_t>()
                 : -1;
    };
    SetAround(id("cls"), id("sep"));
  }

  void ReadTemplate(const Json& processor) {
    const std::string single = Pieces(processor.value("single", Json())),
                      pair = Pieces(processor.value("pair", Json()));
    const size_t first = single.find(":0 $A:0 ");
    const std::string begin = single.substr(0, first),
                      end = first == std::string::npos ? "" : single.substr(first + 8);
    const std::string separator = end.ends_with(":0") ? end.substr(0, end.size() - 2) : "";
    if (first == std::string::npos || separator.empty() || pair != single + " $B:1 " + separator + ":1")
      return Refuse("post_processor.pair", pair, "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1");
    const Json tokens = processor.value("special_tokens", Json());
    const auto id = [&](const std::string& name) {
      if (!tokens.is_object() || !tokens.contains(name)) return -1;
      const Json ids = tokens[name].is_object() ? tokens[name].value("ids", Json()) : Json();
      return ids.is_array() && ids.size() == 1 && ids[0].is_number_unsigned() && ids[0] < kMaxTokens
                 ? ids[0].get<int32_t>()
                 : -1;
    };
    SetAround(id(begin), id(separator));
  }

  void SetAround(int32_t begin, int32_t separator) {
    if (begin < 0 || separator < 0)
      return Refuse("post_processor", "a token without an id", "one id each of [CLS] and [SEP]");
    result_.around = {begin, separator};
  }

  bool whole_;
  Json json_;
  TokenizerJson result_;
};

}  // namespace

TokenizerJson ReadTokenizerJson(const std::string& path, bool whole) { return Reader(path, whole).Read(); }

}  // namespace thimble::data
