#include "tools/report/page.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "base/error.h"
#include "tools/report/document.h"

namespace thimble::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr unsigned char kPage[] = {
#include "tools/report/page.inc"
};
constexpr size_t kMostBytes = 1'950'000;  // of the whole page

void Replace(const std::string& name, const std::string& with, std::string* page) {
  const std::string mark = "{{" + name + "}}";
  const size_t at = page->find(mark);
  THIMBLE_CHECK(at != std::string::npos, "the page has no " + mark);
  page->replace(at, mark.size(), with);
}

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (static_cast<unsigned char>(c) < 0x20)
      out += ' ';
    else
      out += c;
  }
  return out;
}

// What stands in a script element, whatever texts it holds.
std::string InScript(const Json& document) {
  std::string out;
  for (const char c : DumpDocument(document)) out += c == '<' ? "\\u003c" : std::string(1, c);
  return out;
}

// Trials that something is drawn of alone.
std::set<std::pair<std::string, int>> Drawn(const Json& document) {
  std::set<std::pair<std::string, int>> drawn;
  for (const auto& stage : document["stages"])
    if (stage.contains("best")) drawn.emplace(stage["name"], stage["best"]);
  for (const auto& result : document["results"]) {
    if (!result.contains("stage")) continue;
    for (const auto& number : result["front"]["trials"]) drawn.emplace(result["stage"], number);
    if (!result.contains("compared")) continue;
    drawn.emplace(result["compared"]["stage"], result["compared"]["found"]);
    if (result["compared"].contains("with"))
      for (const auto& each : result["compared"]["with"])
        drawn.emplace(result["compared"]["stage"], each["number"]);
  }
  return drawn;
}

// Leaves out trials that `keep` does not want, but for those that are drawn.
template <typename Keep>
void LeaveOut(const Keep& keep, Json* document) {
  const auto drawn = Drawn(*document);
  for (auto& stage : (*document)["stages"]) {
    Json kept = Json::array();
    int left_out = stage.value("left_out", 0);
    for (auto& trial : stage["trials"]) {
      if (drawn.count({stage["name"], trial["number"].get<int>()}) > 0 || keep(trial))
        kept.push_back(std::move(trial));
      else
        ++left_out;
    }
    stage["trials"] = std::move(kept);
    if (left_out > 0) stage["left_out"] = left_out;
  }
}

}  // namespace

std::string ReportHtml(Json document) {
  std::string page(reinterpret_cast<const char*>(kPage), sizeof kPage);
  Replace("title", Escaped(document["name"].get<std::string>()), &page);
  const size_t room = kMostBytes - page.size();
  std::string text = InScript(document);
  if (text.size() > room) {
    LeaveOut([](const Json& trial) { return trial["state"] != "thinned"; }, &document);
    text = InScript(document);
  }
  for (int every = 2; text.size() > room && every <= 4096; every *= 2) {
    LeaveOut([&](const Json& trial) { return trial["number"].get<int>() % every == 0; }, &document);
    text = InScript(document);
  }
  Replace("document", text, &page);
  return page;
}

}  // namespace thimble::tools
