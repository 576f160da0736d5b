#include "tools/compare.h"

#include <nlohmann/json.hpp>

#include "data/spans.h"
#include "models/encoder/cost.h"
#include "tools/quantities.h"
#include "tools/run/export.h"
#include "tools/run/row_length.h"
#include "tools/run/splits.h"
#include "tools/table.h"
#include "train/evaluate.h"
#include "train/task_model.h"

namespace thimble::tools {

ScoredModel LoadScored(const std::string& directory, const data::TaskEntry& task, int max_length,
                       bool assume_label_order) {
  ScoredModel scored{.model = train::LoadTaskModel(directory, task, assume_label_order)};
  scored.task = train::WithSettings(task, scored.model);
  scored.max_length = ScoringLength(scored.model, max_length);
  return scored;
}

std::string CompareModels(const std::vector<ModelRow>& models, const data::TaskEntry& task,
                          const std::string& data_directory, const std::string& file,
                          const CompareOptions& options) {
  std::vector<std::vector<std::string>> table = {{"model", "parameters"}};
  for (const auto& metric : task.metrics) table[0].push_back(metric);
  table[0].push_back("size MB");
  if (options.latency) table[0].push_back("latency ms");
  std::string notes;
  double majority = 0;
  auto list = nlohmann::json::array();
  for (const auto& row : models) {
    const auto scored = row.loaded
                            ? row.loaded
                            : std::make_shared<const ScoredModel>(LoadScored(
                                  row.directory, task, options.max_length, options.assume_label_order));
    const auto& [loaded, own, length] = *scored;
    const auto data =
        LoadSplit(own, data_directory, file, row.directory, 0, length, options.threads, options.cache);
    if (options.max_length == 0) SayUnknownLength(loaded, task, data);
    const auto evaluation = train::Evaluate(loaded.model, data, &own, {});
    if (task.unanswerable) {
      const auto best = data::TuneThreshold(own, *data.rows, evaluation.answers);
      notes += row.name + ": no answer above " + Decimal(own.null_threshold, 3) +
               (loaded.settings.null_threshold ? ", tuned" : "") + "; the best threshold on this file, " +
               Decimal(best.threshold, 3) + ", gives " + task.metrics[0] + " " +
               Decimal(100 * best.score, 1) + "\n";
    }
    std::vector<int> gold;
    for (const auto& example : data.examples) gold.push_back(example.label);
    if (task.kind == data::TaskKind::kClassification) majority = data::MajorityShare(gold);
    const int64_t parameters =
        models::DeployedParameters(loaded.model.shape, loaded.model.classes, loaded.model.head);
    std::vector<std::string> cells = {row.name, Millions(parameters)};
    nlohmann::json told = {{"name", row.name}, {"parameters", parameters}, {"bytes", loaded.bytes}};
    for (const auto& metric : evaluation.metrics) {
      cells.push_back(Decimal(100 * metric.value, 1) + " +- " + Decimal(100 * metric.standard_error, 1));
      told["metrics"][metric.name] = metric.value;
      told["standard_errors"][metric.name] = metric.standard_error;
    }
    cells.push_back(Decimal(static_cast<double>(loaded.bytes) / 1e6, 1));
    if (options.latency) {
      const double ms = LatencyMs(loaded.model);
      cells.push_back(Decimal(ms, 1));
      told["latency_ms"] = ms;
    }
    table.push_back(cells);
    list.push_back(told);
  }
  if (options.json)
    return nlohmann::json{{"task", task.name}, {"file", file}, {"models", list}}.dump(
               -1, ' ', false, nlohmann::json::error_handler_t::replace) +
           "\n";
  std::string text = Table(table) + "\n" + task.name + ", " + file + ", whole set; +- one standard error";
  if (majority > 0) text += "; answering the commonest class: accuracy " + Decimal(100 * majority, 1);
  text += "\n" + notes;
  if (options.latency) text += "latency: median, batch 1, 128 tokens, 1 thread, float32, on this machine\n";
  return text;
}

}  // namespace thimble::tools
