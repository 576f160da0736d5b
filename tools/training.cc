#include "tools/training.h"

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "train/cohort.h"

namespace thimble::tools {
namespace fs = std::filesystem;

std::string CheckpointPath(const std::string& out) {
  return fs::path(out + "/").parent_path().string() + ".checkpoint";
}

void PrintWritten(const std::vector<data::Metric>& metrics, const std::string& out) {
  for (const auto& metric : metrics)
    std::printf("%s %.2f +- %.2f\n", metric.name.c_str(), 100 * metric.value, 100 * metric.standard_error);
  std::printf("written to %s\n", out.c_str());
}

void TrainAndExport(const TrainingRun& run) {
  train::Job job;
  job.what = run.what + " " + run.task.name;
  job.recipe = run.recipe;
  job.deployment = run.deployment;
  job.train = &run.train;
  job.validate = &run.dev;
  job.task = &run.task;
  job.teacher = run.teacher;
  job.members = {{.name = run.member, .model = run.model, .seed = run.recipe.seed()}};
  job.checkpoint = CheckpointPath(run.out);
  const std::string cache_directory = job.checkpoint + ".teacher";
  std::unique_ptr<train::TeacherCache> cache;
  if (run.teacher != nullptr)
    cache = train::TeacherCache::Open(run.recipe, *run.teacher, run.model->shape, run.train, run.recipe.epochs(),
                                      cache_directory);
  job.teacher_cache = cache.get();
  const auto results = train::Train(job);
  if (!results[0].failure.empty()) throw WorkFailed(run.what, results[0].failure);
  Lineage lineage = run.lineage;
  const auto score = ScoreOnDev(*run.model, run.dev, run.task);
  lineage.metrics = score.evaluation.metrics;
  lineage.null_threshold = score.null_threshold;
  PendingDirectory out(run.out);
  WriteExport(*run.model, run.task.labels, run.tokenizer_directory, lineage, out.working());
  if (run.write_more) run.write_more(out.working());
  out.Commit();
  fs::remove(job.checkpoint);
  fs::remove_all(cache_directory);
  PrintWritten(lineage.metrics, run.out);
}

}  // namespace thimble::tools
