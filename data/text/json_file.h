// JSON objects in files that others made.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace thimble::data {

// Error (exit 2) with the path if it is no JSON object, too large, or nests too deeply. An object's members
// come sorted by name; in ReadOrderedObject as they stand in the file, which is slow for many.
nlohmann::json ReadObject(const std::string& path);
nlohmann::ordered_json ReadOrderedObject(const std::string& path);

// The start of a value, for messages.
template <typename Json>
std::string Show(const Json& value) {
  return value.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 60);
}

// A member that is true or false; `fallback` where it is absent or null.
bool Flag(const std::string& path, const nlohmann::json& object, const char* key, bool fallback);
bool Flag(const std::string& path, const nlohmann::ordered_json& object, const char* key, bool fallback);

}  // namespace thimble::data
