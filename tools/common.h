// What the commands share: common options, quantities, tokenized data, tables.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/task.h"
#include "models/hub/pretrained.h"
#include "proto/deployment.pb.h"
#include "proto/recipe.pb.h"
#include "proto/study.pb.h"
#include "train/evaluate.h"

namespace CLI {
class App;
}

namespace thimble::tools {

// A command adds its options to the program's subcommand and returns what runs once they are parsed.
#define COMMAND(name, summary) std::function<void()> name##_command(CLI::App& app);
#include "tools/commands.inc"
#undef COMMAND

// Options that many commands take.
struct Options {
  int threads = 0;
  double checkpoint_seconds = -1;  // below 0: the schema's default
  bool force = false, dry_run = false, recompute = false;
  bool assume_label_order = false;  // of a model's outputs (data/label_order.h)
  std::string cache;  // Deployment.cache
  std::vector<std::string> set;
};
void AddDeployment(CLI::App& app, Options* options);  // --threads, --checkpoint-seconds, --cache, --recompute
void AddForce(CLI::App& app, Options* options);
void AddLabelOrder(CLI::App& app, Options* options);     // --assume-label-order
void AddSet(CLI::App& app, Options* options);            // --set
void AddRecipeOptions(CLI::App& app, Options* options);  // --set and --dry-run
proto::Deployment MakeDeployment(const Options& options);  // and sets torch's threads

int64_t ParseCount(const std::string& option, const std::string& text);        // "10M", "1.5k", "200000"
double ParseMilliseconds(const std::string& option, const std::string& text);  // "5ms", "0.2s", "5"
std::string Millions(int64_t count);                                           // "15.738M"
std::string Decimal(double value, int digits);

// The recipe of `path` (empty: `standard`), overridden by --epochs (from 0 on) and --learning-rate (above 0) where a command has
// them, then by --set; validated, precision resolved.
proto::Recipe MakeRecipe(const std::string& path, const proto::Recipe& standard, const Options& options, double epochs = -1,
                         double learning_rate = 0);
proto::Recipe FinetuneRecipe();  // AdamW, 3 epochs, hard labels
proto::Recipe DistilRecipe();    // AdamW, 3 epochs, attention scores + hidden states + soft labels

// FindTask for a command that trains. Error (exit 2) if the task has no training file.
const data::TaskEntry& FindTrainable(const std::string& name, const std::string& data_directory);

// `cache`: Deployment.cache.
data::Dataset LoadSplit(const data::TaskEntry& task, const std::string& data_directory, const std::string& file,
                        const std::string& model_directory, int rows, int max_length, int threads,
                        const std::string& cache = "");

// Scores of a model that was just trained. Where questions may have no answer, the threshold is tuned on these rows first, as the
// official script's best score is.
struct DevScore {
  train::Evaluation evaluation;
  std::optional<double> null_threshold;
};
DevScore ScoreOnDev(const models::Model& model, const data::Dataset& dev, const data::TaskEntry& task);

// study.textproto of a study directory (or a file given directly), overridden, by --assume-label-order too,
// and validated.
struct StudyFile {
  proto::Study study;
  std::string directory, path;
};
StudyFile LoadStudy(const std::string& where, const Options& options);

// Holds a directory for one command: two in it would write the same checkpoints. Error (exit 2) if one has it.
class DirectoryLock {
 public:
  DirectoryLock(const std::string& directory, const std::string& command);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int fd_;
};

// Rows of text in aligned columns, numbers to the right; the first row is the heading.
std::string Table(const std::vector<std::vector<std::string>>& rows);

// Median on this machine: batch 1, 128 tokens (fewer where the model's position table is shorter), 1 thread, float32.
double LatencyMs(const models::Model& model);

// Writes an exported model: Hugging Face directory, tokenizer, model.onnx, model card. `directory` must exist.
struct Lineage {
  std::string teacher, task, how;  // how: one sentence
  std::vector<data::Metric> metrics;
  models::Settings settings;
};
void WriteExport(const models::Model& model, const std::vector<std::string>& label_names,
                 const std::string& tokenizer_directory, const Lineage& lineage, const std::string& directory);

}  // namespace thimble::tools
