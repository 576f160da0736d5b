#include "search/evaluators/study_summary.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "data/dataset.h"
#include "data/task.h"

namespace thimble::search {
namespace {

using Json = nlohmann::ordered_json;

// 8, 12, 16, 24, 32, ...
int BinOf(int length) {
  int most = 8;
  while (most < length) most = (most & (most - 1)) == 0 ? most + most / 2 : most / 3 * 4;
  return most;
}

void AddLabels(const data::Dataset& rows, const data::TaskEntry& task, Json* json) {
  if (task.kind == data::TaskKind::kRegression) {
    double sum = 0, lowest = rows.examples[0].score, highest = lowest;
    for (const auto& example : rows.examples) {
      sum += example.score;
      lowest = std::min<double>(lowest, example.score), highest = std::max<double>(highest, example.score);
    }
    (*json)["mean"] = sum / static_cast<double>(rows.examples.size());
    (*json)["lowest"] = lowest, (*json)["highest"] = highest;
  } else if (task.kind == data::TaskKind::kSpan) {
    (*json)["answered"] = std::count_if(rows.examples.begin(), rows.examples.end(),
                                        [](const auto& example) { return example.end > 0; });
  } else {
    std::vector<int64_t> counts(task.labels.size());
    for (const auto& example : rows.examples)
      if (example.label >= 0 && example.label < static_cast<int>(counts.size())) ++counts[example.label];
    (*json)["labels"] = Json::object();
    for (size_t i = 0; i < counts.size(); ++i) (*json)["labels"][task.labels[i]] = counts[i];
  }
}

}  // namespace

Json SummaryOf(const data::Dataset& rows, const data::TaskEntry& task, int max_length) {
  Json json = {{"examples", rows.examples.size()}};
  if (rows.examples.empty()) return json;
  AddLabels(rows, task, &json);
  std::map<int, int64_t> bins;
  int64_t cut = 0;
  for (const auto& example : rows.examples) {
    const int length = static_cast<int>(example.ids.size());
    ++bins[BinOf(length)];
    if (length >= max_length) ++cut;
  }
  json["lengths"] = Json::array();
  for (const auto& [most, count] : bins) json["lengths"].push_back({most, count});
  json["cut"] = cut;
  return json;
}

}  // namespace thimble::search
