// Encodes texts with the tokenizers of many directories, for drawn_tokenizers_test.py. Standard input: a line
// {"directory": ..., "pairs": [[first, second or null], ...]} each; standard output: a line each,
// {"encodings": [{"ids", "offsets", "segments"}, ...]} with offsets in characters, or {"refused": message}.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "data/text/wordpiece.h"

namespace {

using Json = nlohmann::json;
namespace data = thimble::data;

Json Encode(const data::WordPiece& tokenizer, const Json& pair) {
  const auto first = pair[0].get<std::string>();
  const bool has_second = !pair[1].is_null();
  const std::string second = has_second ? pair[1].get<std::string>() : "";
  const auto encoding =
      tokenizer.EncodeAll(first, second, has_second, {.max_length = 1 << 20, .offsets = true})[0];
  Json offsets = Json::array();
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const bool of_second = encoding.segments[i] == 1;
    const auto offset = data::InCharacters(of_second ? second : first, {encoding.offsets[i]})[0];
    offsets.push_back({offset.begin, offset.end});
  }
  return {{"ids", encoding.ids}, {"offsets", offsets}, {"segments", encoding.segments}};
}

Json Answer(const Json& request) {
  try {
    const data::WordPiece tokenizer(request["directory"].get<std::string>());
    Json encodings = Json::array();
    for (const Json& pair : request["pairs"]) encodings.push_back(Encode(tokenizer, pair));
    return {{"encodings", encodings}};
  } catch (const thimble::Error& error) {
    return {{"refused", error.what()}};
  }
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);)
    std::cout << Answer(Json::parse(line)).dump() << std::endl;
}
