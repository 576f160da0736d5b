#include "data/text/json_file.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"

namespace thimble::data {
namespace {

template <typename Json>
Json Read(const std::string& path) {
  constexpr size_t kMaxBytes = size_t{1} << 28;
  constexpr int kMaxDepth = 64;
  const MappedFile file(path);
  if (file.bytes().size() > kMaxBytes)
    throw BadRequest(path, "too large", std::to_string(file.bytes().size()) + " bytes");
  auto json = Json::parse(
      file.bytes(), [](int depth, typename Json::parse_event_t, Json&) { return depth < kMaxDepth; },
      /*allow_exceptions=*/false);
  if (!json.is_object()) throw BadRequest(path, "not a JSON object");
  return json;
}

template <typename Json>
bool FlagOf(const std::string& path, const Json& object, const char* key, bool fallback) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return fallback;
  if (!found->is_boolean()) throw BadRequest(path, key, Show(*found), "true, false");
  return found->template get<bool>();
}

}  // namespace

nlohmann::json ReadObject(const std::string& path) { return Read<nlohmann::json>(path); }
nlohmann::ordered_json ReadOrderedObject(const std::string& path) {
  return Read<nlohmann::ordered_json>(path);
}

bool Flag(const std::string& path, const nlohmann::json& object, const char* key, bool fallback) {
  return FlagOf(path, object, key, fallback);
}
bool Flag(const std::string& path, const nlohmann::ordered_json& object, const char* key, bool fallback) {
  return FlagOf(path, object, key, fallback);
}

}  // namespace thimble::data
