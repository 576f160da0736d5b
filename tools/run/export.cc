#include "tools/run/export.h"

#include <algorithm>

#include "base/config.h"
#include "base/files.h"
#include "models/encoder/cost.h"
#include "models/latency.h"
#include "models/onnx/onnx.h"
#include "tools/quantities.h"

namespace thimble::tools {

double LatencyMs(const models::Model& model) {
  return models::MeasureLatency(model, 1, std::min(128, model.shape.positions), 1).median_ms;
}

void WriteExport(const models::Model& model, const std::vector<std::string>& label_names,
                 const std::string& tokenizer_directory, const Lineage& lineage,
                 const std::string& directory) {
  models::SavePretrained(model, label_names, directory, lineage.settings);
  models::CopyTokenizer(tokenizer_directory, directory);
  WriteText(directory + "/architecture.textproto", model.architecture);
  models::WriteOnnx(model, directory + "/model.onnx");
  std::string card = "# A small BERT for " + lineage.task + "\n\n" + lineage.how + "\n\n";
  card += "| | |\n|---|---|\n";
  card += "| task | " + lineage.task + " |\n";
  if (!lineage.teacher.empty()) card += "| teacher | " + lineage.teacher + " |\n";
  card += "| deployed parameters | " +
          std::to_string(models::DeployedParameters(model.shape, model.classes, model.head)) + " |\n";
  card += "| layers, hidden, heads | " + std::to_string(model.shape.layers.size()) + ", " +
          std::to_string(model.shape.hidden) + ", " + std::to_string(model.shape.heads) + " |\n";
  const models::TaskHead read =
      model.classes > 0 ? model.head : models::TaskHead::kTokens;  // else every state is returned
  card +=
      "| multiply-adds at length 128 | " + Millions(models::MultiplyAdds(model.shape, 128, read)) + " |\n";
  for (const auto& metric : lineage.metrics)
    card += "| " + metric.name + " | " + Decimal(100 * metric.value, 2) + " +- " +
            Decimal(100 * metric.standard_error, 2) + " |\n";
  card +=
      "\nFiles: `model.safetensors` and `config.json` (weights, labels), `architecture.textproto` (the "
      "architecture),\n"
      "`model.onnx` (inputs input_ids, token_type_ids, attention_mask; output logits), `vocab.txt` "
      "(tokenizer).\n"
      "Use: `thimble predict DIR " +
      std::string(model.head == models::TaskHead::kTokens && model.classes > 0
                      ? "\"a question\" \"a passage\""
                      : "\"a sentence\"") +
      "`, or any ONNX runtime.\n";
  WriteFileAtomically(directory + "/README.md", card);
}

}  // namespace thimble::tools
