#include "tools/common.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/parallel.h"
#include "data/cache.h"
#include "data/spans.h"
#include "models/encoder/cost.h"
#include "models/latency.h"
#include "models/onnx/onnx.h"
#include "optim/optimizer.h"
#include "train/cohort.h"

namespace thimble::tools {
namespace fs = std::filesystem;

void AddDeployment(CLI::App& app, Options* options) {
  app.add_option("--threads", options->threads, "threads; 0: every core")->check(CLI::Range(0, 1024));
  app.add_option("--checkpoint-seconds", options->checkpoint_seconds, "time between two checkpoints of a training run")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--cache", options->cache, "directory for tokenized data; none: no files; default: $THIMBLE_CACHE or ~/.cache/thimble");
  app.add_flag("--recompute", options->recompute,
               "compute a student's layers again on the way back: less memory, a third more time, the same result");
}

void AddForce(CLI::App& app, Options* options) {
  app.add_flag("--force", options->force, "replace what is there");
}

void AddLabelOrder(CLI::App& app, Options* options) {
  app.add_flag("--assume-label-order", options->assume_label_order,
               "a model's outputs are the task's labels by position, whatever its config.json calls them");
}

void AddSet(CLI::App& app, Options* options) {
  app.add_option("--set", options->set, "override a field: path=value, e.g. optimizer.adamw.learning_rate=1e-4");
}

void AddRecipeOptions(CLI::App& app, Options* options) {
  AddSet(app, options);
  app.add_flag("--dry-run", options->dry_run, "check everything, then stop");
}

proto::Deployment MakeDeployment(const Options& options) {
  proto::Deployment deployment;
  deployment.set_threads(options.threads > 0 ? options.threads : Cores());
  if (options.checkpoint_seconds >= 0) deployment.set_checkpoint_seconds(options.checkpoint_seconds);
  if (!options.cache.empty()) deployment.set_cache(options.cache);
  deployment.set_recompute(options.recompute);
  train::SetTorchThreads(deployment.threads());
  return deployment;
}

int64_t ParseCount(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const std::string suffix = end;
  const double unit = suffix.empty()                      ? 1
                      : suffix == "k" || suffix == "K"    ? 1e3
                      : suffix == "M" || suffix == "m"    ? 1e6
                      : suffix == "G" || suffix == "B"    ? 1e9
                                                          : 0;
  if (end == text.c_str() || unit == 0 || !(number > 0) || !std::isfinite(number))
    throw BadRequest(option, "not a count", text, "a number above 0 with k, M or G, e.g. 9.5M");
  return std::llround(number * unit);
}

double ParseMilliseconds(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const std::string suffix = end;
  const double unit = suffix.empty() || suffix == "ms" ? 1 : suffix == "s" ? 1e3 : suffix == "us" ? 1e-3 : 0;
  if (end == text.c_str() || unit == 0 || !(number > 0) || !std::isfinite(number))
    throw BadRequest(option, "not a time", text, "a number above 0 with us, ms or s, e.g. 5ms");
  return number * unit;
}

std::string Decimal(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

std::string Millions(int64_t count) { return Decimal(static_cast<double>(count) / 1e6, 3) + "M"; }

proto::Recipe MakeRecipe(const std::string& path, const proto::Recipe& standard, const Options& options, double epochs,
                         double learning_rate) {
  proto::Recipe recipe = standard;
  if (!path.empty()) ReadText(path, &recipe);
  if (epochs >= 0) recipe.set_epochs(static_cast<int>(epochs));
  // Without a rule the recipe is refused below.
  if (learning_rate > 0 && recipe.optimizer().kind_case() != proto::Optimizer::KIND_NOT_SET)
    optim::SetBaseLearningRate(learning_rate, recipe.mutable_optimizer());
  for (const auto& assignment : options.set) Override(assignment, &recipe);
  Validate(recipe, path.empty() ? "recipe" : path);
  recipe.set_precision(train::ResolvePrecision(recipe.precision()));
  return recipe;
}

proto::Recipe FinetuneRecipe() {
  proto::Recipe recipe;
  ParseText(R"(
    epochs: 3
    objective { loss { hard_labels {} } }
    optimizer { adamw { learning_rate: 1e-4 } }
    schedule { linear { warmup_fraction: 0.1 } }
    dropout: 0.1
  )", "the standard fine-tuning recipe", &recipe);
  return recipe;
}

proto::Recipe DistilRecipe() {
  proto::Recipe recipe;
  ParseText(R"(
    epochs: 3
    objective { loss { attention_scores {} } loss { hidden_states {} } loss { soft_labels {} } }
    optimizer { adamw { learning_rate: 4e-4 } }
    schedule { linear { warmup_fraction: 0.1 } }
  )", "the standard distillation recipe", &recipe);
  return recipe;
}

const data::TaskEntry& FindTrainable(const std::string& name, const std::string& data_directory) {
  const auto& task = data::FindTask(name, data_directory);
  if (task.train.empty()) throw BadRequest("--task", "task " + task.name + " has no training file");
  return task;
}

data::Dataset LoadSplit(const data::TaskEntry& task, const std::string& data_directory, const std::string& file,
                        const std::string& model_directory, int rows, int max_length, int threads,
                        const std::string& cache) {
  const data::WordPiece tokenizer(model_directory);
  return data::TokenizeCached(data::ReadRows(task, data::SplitPath(task, data_directory, file), rows), task, tokenizer,
                              max_length, threads > 0 ? threads : Cores(), data::CacheDirectory(cache));
}

DevScore ScoreOnDev(const models::Model& model, const data::Dataset& dev, const data::TaskEntry& task) {
  DevScore score{.evaluation = train::Evaluate(model, dev, &task, {})};
  auto& [evaluation, null_threshold] = score;
  if (!task.unanswerable || evaluation.metrics.empty()) return score;
  std::vector<data::Row> rows;
  for (const int row : evaluation.answered) rows.push_back((*dev.rows)[row]);
  null_threshold = data::TuneThreshold(task, rows, evaluation.answers).threshold;
  data::ApplyThreshold(*null_threshold, &evaluation.answers);
  evaluation.metrics = data::ScoreAnswers(task, rows, evaluation.answers);
  return score;
}

StudyFile LoadStudy(const std::string& where, const Options& options) {
  StudyFile file;
  file.directory = where;
  file.path = where + "/study.textproto";
  if (fs::is_regular_file(where)) {
    file.path = where;
    file.directory = fs::path(where).parent_path().string();
    if (file.directory.empty()) file.directory = ".";
  } else if (!fs::exists(file.path)) {
    throw BadRequest(where, "no study here: " + file.path + " does not exist", "",
                     "a directory made by `thimble init`, or a study file");
  }
  ReadText(file.path, &file.study);
  for (const auto& assignment : options.set) Override(assignment, &file.study);
  if (options.assume_label_order) file.study.mutable_teacher()->set_assume_label_order(true);
  Validate(file.study, file.path);
  return file;
}

DirectoryLock::DirectoryLock(const std::string& directory, const std::string& command)
    : fd_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_ >= 0 && ::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
  const int error = errno;
  if (fd_ >= 0) ::close(fd_);
  if (fd_ >= 0 && error == EWOULDBLOCK)
    throw BadRequest(directory, "another `" + command + "` is running here");
  throw BadRequest(directory, std::string("cannot lock the directory: ") + std::strerror(error));
}
DirectoryLock::~DirectoryLock() { ::close(fd_); }

std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows[r].size(); ++i) {
      const std::string& cell = rows[r][i];
      const std::string pad(widths[i] - cell.size(), ' ');
      const bool left = i == 0;
      line += (i ? "  " : "") + (left ? cell + pad : pad + cell);
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    text += line + "\n";
    if (r == 0) {
      size_t total = 0;
      for (const size_t w : widths) total += w + 2;
      text += std::string(total - 2, '-') + "\n";
    }
  }
  return text;
}

double LatencyMs(const models::Model& model) {
  return models::MeasureLatency(model, 1, std::min(128, model.shape.positions), 1).median_ms;
}

void WriteExport(const models::Model& model, const std::vector<std::string>& label_names,
                 const std::string& tokenizer_directory, const Lineage& lineage, const std::string& directory) {
  models::SavePretrained(model, label_names, directory, lineage.settings);
  models::CopyTokenizer(tokenizer_directory, directory);
  WriteText(directory + "/architecture.textproto", model.architecture);
  models::WriteOnnx(model, directory + "/model.onnx");
  std::string card = "# A small BERT for " + lineage.task + "\n\n" + lineage.how + "\n\n";
  card += "| | |\n|---|---|\n";
  card += "| task | " + lineage.task + " |\n";
  if (!lineage.teacher.empty()) card += "| teacher | " + lineage.teacher + " |\n";
  card += "| deployed parameters | " + std::to_string(models::DeployedParameters(model.shape, model.classes, model.head)) +
          " |\n";
  card += "| layers, hidden, heads | " + std::to_string(model.shape.layers.size()) + ", " +
          std::to_string(model.shape.hidden) + ", " + std::to_string(model.shape.heads) + " |\n";
  const models::Head read = model.classes > 0 ? model.head : models::Head::kTokens;  // else every state is returned
  card += "| multiply-adds at length 128 | " + Millions(models::MultiplyAdds(model.shape, 128, read)) + " |\n";
  for (const auto& metric : lineage.metrics)
    card += "| " + metric.name + " | " + Decimal(100 * metric.value, 2) + " +- " +
            Decimal(100 * metric.standard_error, 2) + " |\n";
  card += "\nFiles: `model.safetensors` and `config.json` (weights, labels), `architecture.textproto` (the architecture),\n"
          "`model.onnx` (inputs input_ids, token_type_ids, attention_mask; output logits), `vocab.txt` (tokenizer).\n"
          "Use: `thimble predict DIR " + std::string(model.head == models::Head::kTokens && model.classes > 0
                                                         ? "\"a question\" \"a passage\""
                                                         : "\"a sentence\"") + "`, or any ONNX runtime.\n";
  WriteFileAtomically(directory + "/README.md", card);
}

}  // namespace thimble::tools
