#include "tools/run/splits.h"

#include "base/error.h"
#include "base/parallel.h"
#include "data/cache.h"
#include "data/spans.h"

namespace thimble::tools {

const data::TaskEntry& FindTrainable(const std::string& name, const std::string& data_directory) {
  const auto& task = data::FindTask(name, data_directory);
  if (task.train.empty()) throw BadRequest("--task", "task " + task.name + " has no training file");
  return task;
}

data::Dataset LoadSplit(const data::TaskEntry& task, const std::string& data_directory,
                        const std::string& file, const std::string& model_directory, int rows, int max_length,
                        int threads, const std::string& cache) {
  const data::WordPiece tokenizer(model_directory);
  return data::TokenizeCached(data::ReadRows(task, data::SplitPath(task, data_directory, file), rows), task,
                              tokenizer, max_length, threads > 0 ? threads : Cores(),
                              data::CacheDirectory(cache));
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

}  // namespace thimble::tools
