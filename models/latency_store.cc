#include "models/latency_store.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "models/hub/json.h"

namespace thimble::models {
namespace {

constexpr int kFormat = 1;
constexpr int kDepth = 6;  // of the file's brackets, and then some

nlohmann::ordered_json Header(const LatencyPlace& place) {
  return {{"latency_table", kFormat}, {"cpu", place.cpu},       {"libtorch", place.libtorch},
          {"batch", place.batch},     {"length", place.length}, {"threads", place.threads}};
}

Error Damaged(const std::string& file, const std::string& problem) {
  return BadRequest(file, "no table of latencies: " + problem, "",
                    "a file that a table of latencies wrote, or a new name");
}

}  // namespace

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0) {
      const size_t colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  return "unknown";
}

std::vector<int> Anchors(int size, int unit) {
  THIMBLE_CHECK(size > 0 && unit > 0, "no size");
  const auto after = [](int step) {
    if (step < 8) return 2 * step;
    const bool power = (step & (step - 1)) == 0;
    return power ? step / 2 * 3 : step / 3 * 4;
  };
  int step = 1;
  while (after(step) * unit <= size) step = after(step);
  if (step * unit >= size) return {step * unit};
  return {step * unit, after(step) * unit};
}

LatencyStore::LatencyStore(const LatencyPlace& place, std::string file)
    : place_(place), file_(std::move(file)) {
  if (file_.empty()) return;
  std::filesystem::exists(file_) ? Read() : Write();
}

bool LatencyStore::Has(const std::string& family, int size) const {
  const auto found = families_.find(family);
  return found != families_.end() && found->second.count(size) > 0;
}

void LatencyStore::Add(const std::string& family, int size, double ms) {
  THIMBLE_CHECK(ms > 0 && std::isfinite(ms), "a part that takes no time");
  auto& sizes = families_[family];
  const auto above = sizes.upper_bound(size);
  if (above != sizes.end()) ms = std::min(ms, above->second);
  const auto below = sizes.lower_bound(size);
  if (below != sizes.begin()) ms = std::max(ms, std::prev(below)->second);
  sizes[size] = ms;
}

double LatencyStore::At(const std::string& family, int size) const {
  const auto found = families_.find(family);
  THIMBLE_CHECK(found != families_.end(), family);
  const auto& sizes = found->second;
  const auto above = sizes.lower_bound(size);
  if (above == sizes.end()) return sizes.rbegin()->second;
  if (above->first == size || above == sizes.begin()) return above->second;
  const auto below = std::prev(above);
  const double share = static_cast<double>(size - below->first) / (above->first - below->first);
  return below->second + share * (above->second - below->second);
}

void LatencyStore::Write() const {
  if (file_.empty()) return;
  auto json = Header(place_);
  auto& parts = json["parts"] = nlohmann::ordered_json::object();
  for (const auto& [family, sizes] : families_)
    for (const auto& [size, ms] : sizes) parts[family].push_back({{"size", size}, {"ms", ms}});
  WriteFileAtomically(file_, json.dump(1) + "\n");
}

void LatencyStore::Read() {
  const auto json = ParseJson(ReadFile(file_), file_, kDepth);
  if (!json.is_object() || !json.contains("latency_table"))
    throw Damaged(file_, "it does not say that it is one");
  const auto header = Header(place_);
  std::string theirs, ours;
  for (const auto& [name, value] : header.items()) {
    const std::string found = json.contains(name) ? json[name].dump() : "none", own = value.dump();
    if (found == own) continue;
    theirs += (theirs.empty() ? "" : ", ") + name + " " + found;
    ours += (ours.empty() ? "" : ", ") + name + " " + own;
  }
  if (!theirs.empty())
    throw BadRequest(file_, "latencies of another machine or setting", theirs,
                     ours + "; or another file, to be made anew");
  if (!json.contains("parts") || !json["parts"].is_object()) throw Damaged(file_, "\"parts\" is missing");
  for (const auto& [family, sizes] : json["parts"].items()) {
    if (!sizes.is_array()) throw Damaged(file_, "parts." + family + " is no list");
    for (const auto& each : sizes) {
      const bool whole = each.is_object() && each.contains("size") && each.contains("ms") &&
                         each["size"].is_number_integer() && each["ms"].is_number();
      const double ms = whole ? each["ms"].get<double>() : 0;
      const int64_t size = whole ? each["size"].get<int64_t>() : -1;
      if (!(ms > 0) || !std::isfinite(ms) || size < 0 || size > INT32_MAX)
        throw Damaged(file_, "parts." + family + " has an entry that is no size with its milliseconds");
      Add(family, static_cast<int>(size), ms);
    }
  }
}

}  // namespace thimble::models
