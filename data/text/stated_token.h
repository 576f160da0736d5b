// An added token as a JSON file states it.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/text/added_tokens.h"

namespace thimble::data {

struct StatedToken {
  std::string content;
  bool bare = true;  // nothing but its spelling
  bool single_word = false, lstrip = false, rstrip = false, special = false;
  std::optional<bool> normalized;  // where nothing is said, tokens are that are not special

  AddedToken Resolved() const;  // without id
  bool operator==(const StatedToken&) const = default;
};

// The tokens of one file, with the ids that it gives them.
struct TokenIds {
  std::string path;
  std::vector<std::pair<int64_t, StatedToken>> tokens;
};

// An object with `content` and flags; Error (exit 2) with the path for another value.
StatedToken ReadToken(const std::string& path, const nlohmann::json& token);
StatedToken ReadToken(const std::string& path, const nlohmann::ordered_json& token);

}  // namespace thimble::data
