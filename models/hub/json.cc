#include "models/hub/json.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/error.h"

namespace thimble::models {

nlohmann::json ParseJson(std::string_view text, const std::string& where, int max_depth) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  auto check = [&](int depth, Event event, nlohmann::json& parsed) {
    // The start of an object or array reports the depth around it.
    if ((event == Event::object_start || event == Event::array_start) && depth >= max_depth) {
      throw BadRequest(where, "JSON nests too deeply", "",
                       "at most " + std::to_string(max_depth) + " levels");
    }
    if (event == Event::object_start) {
      keys.emplace_back();
    } else if (event == Event::object_end) {
      keys.pop_back();
    } else if (event == Event::key && !keys.back().insert(parsed.get_ref<const std::string&>()).second) {
      throw BadRequest(where, "JSON holds a name twice", "'" + parsed.get<std::string>() + "'");
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text.begin(), text.end(), check);
  } catch (const nlohmann::json::exception& error) {
    throw BadRequest(where, std::string("not valid JSON: ") + error.what());
  }
}

}  // namespace thimble::models
