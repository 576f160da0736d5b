// JSON from files we did not write.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace thimble::models {

// Error (exit 2) with `where` if the text is no JSON, nests deeper than `max_depth`, or an object holds a key
// twice, of which readers disagree on the meaning.
nlohmann::json ParseJson(std::string_view text, const std::string& where, int max_depth);

}  // namespace thimble::models
