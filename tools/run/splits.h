// A task's files as tokens, and how a model does on its dev rows.
#pragma once
#include <optional>
#include <string>

#include "data/dataset.h"
#include "data/task.h"
#include "models/model.h"
#include "train/evaluate.h"

namespace thimble::tools {

// FindTask for a command that trains. Error (exit 2) if the task has no training file.
const data::TaskEntry& FindTrainable(const std::string& name, const std::string& data_directory);

// `cache`: Deployment.cache.
data::Dataset LoadSplit(const data::TaskEntry& task, const std::string& data_directory,
                        const std::string& file, const std::string& model_directory, int rows, int max_length,
                        int threads, const std::string& cache = "");

// Scores of a model that was just trained. Where questions may have no answer, the threshold is tuned on
// these rows first, as the official script's best score is.
struct DevScore {
  train::Evaluation evaluation;
  std::optional<double> null_threshold;
};
DevScore ScoreOnDev(const models::Model& model, const data::Dataset& dev, const data::TaskEntry& task);

}  // namespace thimble::tools
