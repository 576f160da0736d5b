#include "tools/run/sliced_report.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "models/hub/json.h"
#include "proto/study.pb.h"
#include "tools/quantities.h"
#include "tools/table.h"
#include "train/batch.h"

namespace thimble::tools {
namespace {

using nlohmann::ordered_json;

constexpr char kFile[] = "/sliced_start.json";
constexpr char kPrefix[] = "sliced.";
constexpr int kBatch = 32;
constexpr int kJsonDepth = 8;

ordered_json ToJson(const std::vector<data::Metric>& metrics) {
  auto json = ordered_json::object();
  for (const auto& metric : metrics)
    json[metric.name] = {{"value", metric.value}, {"standard_error", metric.standard_error}};
  return json;
}

}  // namespace

proto::Sliced TakeSliced(Options* options) {
  proto::Warmup warmup;  // its field `sliced` gives the paths their beginning
  warmup.mutable_sliced();
  std::vector<std::string> rest;
  for (const auto& assignment : options->set) {
    if (assignment.rfind(kPrefix, 0) == 0) {
      Override(assignment, &warmup);
    } else {
      rest.push_back(assignment);
    }
  }
  Validate(warmup.sliced(), "sliced");
  options->set = rest;
  return warmup.sliced();
}

SlicedSample SplitSample(const data::Dataset& rows, const proto::Sliced& sliced) {
  const auto all = static_cast<int64_t>(rows.examples.size());
  const int64_t held = all == 1 ? 0 : std::clamp<int64_t>(all / 6, 1, sliced.validate_rows());
  SlicedSample sample;
  sample.rows = all - held;
  sample.fit = train::MakeBatches(rows.Slice(0, all - held), kBatch);
  sample.held_out_rows = held == 0 ? all : held;
  sample.held_out = held == 0 ? sample.fit : train::MakeBatches(rows.Slice(all - held, all), kBatch);
  return sample;
}

void WriteSlicedRecord(const SlicedRecord& record, const std::string& directory) {
  if (record.report.blocks.empty()) return;  // the student was not cut from a teacher
  ordered_json json;
  json["options"] = CanonicalText(record.options);
  if (record.rows > 0) {
    json["rows"] = record.rows;
    json["held_out_rows"] = record.held_out_rows;
  }
  json["blocks"] = ordered_json::array();
  for (const auto& block : record.report.blocks)
    json["blocks"].push_back(
        {{"block", block.block}, {"cut", block.before}, {"refitted", block.after}, {"goal", block.goal}});
  json["initialised"] = record.report.initialised;
  if (!record.captured.empty()) {
    json["captured"] = ordered_json::array();
    for (const auto& each : record.captured)
      json["captured"].push_back({{"state", each.state}, {"shared", each.shared}, {"own", each.own}});
  }
  if (!record.metrics.empty()) {
    json["metrics"] = ToJson(record.metrics);
    json["teacher_metrics"] = ToJson(record.teacher_metrics);
  }
  if (record.seconds > 0) {
    json["parameters"] = record.parameters;
    json["teacher_parameters"] = record.teacher_parameters;
    json["seconds"] = record.seconds;
  }
  if (!record.rules.empty()) json["allotted"] = {{"goal", record.goal}, {"rules", record.rules}};
  WriteFileAtomically(directory + kFile, json.dump(1) + "\n");
}

std::string BlockTable(const distill::SlicedReport& report) {
  std::vector<std::vector<std::string>> table = {{"block", "cut", "refitted", "by"}};
  for (const auto& block : report.blocks)
    table.push_back({block.block, Decimal(block.before, 3), Decimal(block.after, 3), block.goal});
  return Table(table);
}

std::string SlicedRecordText(const std::string& directory) {
  const std::string path = directory + kFile;
  if (!std::filesystem::exists(path)) return "";
  const auto json = models::ParseJson(ReadFile(path), path, kJsonDepth);
  distill::SlicedReport report;
  std::string text =
      "sliced start: explained variance (R2) of the teacher's states by each block before any training";
  try {
    for (const auto& block : json.at("blocks")) {
      distill::BlockFit fit;
      fit.block = block.at("block").get<std::string>();
      fit.before = block.at("cut").get<double>();
      fit.after = block.at("refitted").get<double>();
      fit.goal = block.at("goal").get<std::string>();
      report.blocks.push_back(fit);
    }
    if (json.contains("rows"))
      text += ", on " + std::to_string(json.at("held_out_rows").get<int64_t>()) + " rows held out of " +
              std::to_string(json.at("rows").get<int64_t>() + json.at("held_out_rows").get<int64_t>());
    text += "\n" + BlockTable(report);
    for (const auto& name : json.at("initialised"))
      text += "nothing of the teacher corresponds to " + name.get<std::string>() + ": drawn at random\n";
    if (json.contains("captured")) {
      std::vector<std::vector<std::string>> table = {{"state", "shared directions", "its own"}};
      for (const auto& each : json.at("captured"))
        table.push_back({each.at("state").get<std::string>(), Decimal(each.at("shared").get<double>(), 4),
                         Decimal(each.at("own").get<double>(), 4)});
      text += "share of the variance that the student's width can hold\n" + Table(table);
    }
    if (json.contains("allotted")) {
      const auto& allotted = json.at("allotted");
      text += "the best students of each rule within " + allotted.at("goal").get<std::string>() + "\n" +
              Table(allotted.at("rules").get<std::vector<std::vector<std::string>>>());
    }
  } catch (const nlohmann::json::exception& problem) {
    throw BadRequest(path, "not a record of a sliced start", problem.what());
  }
  return text;
}

}  // namespace thimble::tools
