// An exported model's directory.
#pragma once
#include <string>
#include <vector>

#include "data/metrics/metrics.h"
#include "models/hub/pretrained.h"
#include "models/model.h"

namespace thimble::tools {

// Median on this machine: batch 1, 128 tokens (fewer where the model's position table is shorter), 1 thread,
// float32.
double LatencyMs(const models::Model& model);

// Writes an exported model: Hugging Face directory, tokenizer, model.onnx, model card. `directory` must
// exist.
struct Lineage {
  std::string teacher, task, how;  // how: one sentence
  std::vector<data::Metric> metrics;
  models::Settings settings;
};
void WriteExport(const models::Model& model, const std::vector<std::string>& label_names,
                 const std::string& tokenizer_directory, const Lineage& lineage,
                 const std::string& directory);

}  // namespace thimble::tools
