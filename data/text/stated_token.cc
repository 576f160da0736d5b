#include "data/text/stated_token.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/text/json_file.h"

namespace thimble::data {
namespace {

template <typename Json>
StatedToken Read(const std::string& path, const Json& token) {
  if (!token.is_object() || !token.contains("content") || !token["content"].is_string())
    throw BadRequest(path, "an added token is not an object with its content", Show(token));
  StatedToken stated{.content = token["content"].template get<std::string>(), .bare = false};
  if (stated.content.empty()) throw BadRequest(path, "an added token is empty");
  stated.single_word = Flag(path, token, "single_word", false);
  stated.lstrip = Flag(path, token, "lstrip", false);
  stated.rstrip = Flag(path, token, "rstrip", false);
  stated.special = Flag(path, token, "special", false);
  if (token.contains("normalized")) stated.normalized = Flag(path, token, "normalized", true);
  return stated;
}

}  // namespace

AddedToken StatedToken::Resolved() const {
  return {.content = content,
          .single_word = single_word,
          .lstrip = lstrip,
          .rstrip = rstrip,
          .normalized = normalized.value_or(!special),
          .special = special,
          .form = content};
}

StatedToken ReadToken(const std::string& path, const nlohmann::json& token) { return Read(path, token); }
StatedToken ReadToken(const std::string& path, const nlohmann::ordered_json& token) {
  return Read(path, token);
}

}  // namespace thimble::data
