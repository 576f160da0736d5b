// What the commands that train one model share: the run itself, and how its result is written.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tools/common.h"

namespace thimble::tools {

struct TrainingRun {
  std::string what;    // "fine-tuning"
  std::string member;  // "student": part of the checkpoint's identity
  const data::TaskEntry& task;
  const proto::Recipe& recipe;
  const proto::Deployment& deployment;
  const data::Dataset &train, &dev;
  const models::Model* teacher = nullptr;  // nullptr: none
  models::Model* model = nullptr;
  std::string tokenizer_directory, out;
  Lineage lineage;  // without metrics
  std::function<void(const std::string& directory)> write_more = {};  // further files beside the model's
};

// Trains the model, scores it on dev, writes it to `out` and prints its metrics. A checkpoint and the teacher's outputs lie
// beside `out` while it runs. Error (exit 1) if training fails.
void TrainAndExport(const TrainingRun& run);

// Where a run that ends in directory `out` keeps its checkpoint.
std::string CheckpointPath(const std::string& out);
void PrintWritten(const std::vector<data::Metric>& metrics, const std::string& out);

}  // namespace thimble::tools
