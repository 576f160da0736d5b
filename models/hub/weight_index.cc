#include "models/hub/weight_index.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "models/hub/json.h"

namespace thimble::models {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 26;

// Nothing that leads out of the directory or names no file at all.
bool IsFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), [](char c) { return c == '/' || c == '\\' || c == '\0'; });
}

}  // namespace

WeightIndex ParseWeightIndex(const std::string& path, std::string_view text) {
  if (text.size() > kMaxBytes) throw BadRequest(path, "too long", std::to_string(text.size()) + " bytes");
  const nlohmann::json json = ParseJson(text, path, 8);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object() || map->empty())
    throw BadRequest(path, "'weight_map' is missing or empty", "", "an object of tensors and their files");
  WeightIndex index;
  for (const auto& [name, file] : map->items()) {
    if (!file.is_string() || !IsFileName(file.get_ref<const std::string&>()))
      throw BadRequest(path, "'weight_map' has no file for '" + name + "'", file.dump().substr(0, 200),
                       "the name of a file in the same directory");
    index[name] = file.get<std::string>();
  }
  return index;
}

}  // namespace thimble::models
