// Models side by side on a task: what evaluate prints.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/task.h"
#include "models/hub/pretrained.h"

namespace thimble::tools {

// A model that is to be scored on a task, its outputs in the task's order.
struct ScoredModel {
  models::Pretrained model;
  data::TaskEntry task;  // with what came with the model
  int max_length = 0;    // tokens of a row
};
// `max_length` 0: ScoringLength's. Errors (exit 2): train::LoadTaskModel's.
ScoredModel LoadScored(const std::string& directory, const data::TaskEntry& task, int max_length,
                       bool assume_label_order);

struct ModelRow {
  std::string name, directory;
  std::shared_ptr<const ScoredModel> loaded = nullptr;  // nullptr: loaded when its turn comes, and let go
};
struct CompareOptions {
  bool latency = false, json = false, assume_label_order = false;
  int max_length = 0;  // as LoadScored's
  int threads = 0;
  std::string cache;
};
// One line a model: deployed parameters, official metrics with standard error, size on disk, latency. What
// evaluate prints. `json`: instead {"task", "file", "models": [{"name", "metrics": {...}, "standard_errors":
// {...}, "parameters", "bytes", "latency_ms"}]}.
std::string CompareModels(const std::vector<ModelRow>& models, const data::TaskEntry& task,
                          const std::string& data_directory, const std::string& file,
                          const CompareOptions& options);

}  // namespace thimble::tools
