#include "data/text/tokenizer_class.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "data/text/json_file.h"

namespace thimble::data {
namespace {

std::string TextOf(const nlohmann::ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

TokenizerChoice Named(const std::string& name, const std::string& path) {
  constexpr std::array<std::string_view, 7> kBerts = {"Bert",        "DistilBert", "Electra", "MobileBert",
                                                      "SqueezeBert", "LayoutLM",   "Lxmert"};
  std::string_view stem = name;
  if (stem.ends_with("Fast")) stem.remove_suffix(4);
  if (stem == "TokenizersBackend" || stem == "PythonBackend" || stem == "PreTrainedTokenizer")
    return {TokenizerClass::kWholeFile, name, path};
  if (stem == "ConvBertTokenizer") return {TokenizerClass::kConvBert, name, path};
  if (stem.ends_with("Tokenizer") &&
      std::find(kBerts.begin(), kBerts.end(), stem.substr(0, stem.size() - 9)) != kBerts.end())
    return {TokenizerClass::kBert, name, path};
  throw BadRequest(path, "another kind of tokenizer", name, "BertTokenizer and its like (WordPiece)");
}

// What transformers gives a model whose files name no tokenizer. Our own models carry on a BERT's tokenizer.
bool HasBertTokenizer(const std::string& model_type) {
  constexpr std::array<std::string_view, 6> kTypes = {"bert",       "distilbert",  "electra",
                                                      "mobilebert", "squeezebert", "thimble"};
  return std::find(kTypes.begin(), kTypes.end(), model_type) != kTypes.end();
}

}  // namespace

TokenizerChoice ChooseTokenizerClass(const std::string& directory) {
  const std::string settings = directory + "/tokenizer_config.json", model = directory + "/config.json";
  if (std::filesystem::exists(settings)) {
    if (const auto name = TextOf(ReadOrderedObject(settings), "tokenizer_class"); !name.empty())
      return Named(name, settings);
  }
  if (std::filesystem::exists(model)) {
    const auto config = ReadOrderedObject(model);
    if (const auto name = TextOf(config, "tokenizer_class"); !name.empty()) return Named(name, model);
    if (HasBertTokenizer(TextOf(config, "model_type")))
      return {TokenizerClass::kBert, "BertTokenizer", model};
  }
  if (std::filesystem::exists(directory + "/tokenizer.json"))
    return {TokenizerClass::kWholeFile, "TokenizersBackend", ""};
  return {};
}

}  // namespace thimble::data
