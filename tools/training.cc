#include "tools/training.h"

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
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
  const auto& parts = run.mix.parts;
  train::Job job;
  job.what = run.what + " " + run.mix.Names();
  job.recipe = run.recipe;
  job.deployment = run.deployment;
  job.members = {{.name = run.member, .models = run.models, .seed = run.recipe.seed(), .view = run.view}};
  job.mix_exponent = run.mix.exponent;
  job.checkpoint = CheckpointPath(run.out);
  const std::string cache_directory = job.checkpoint + ".teacher";
  std::vector<std::unique_ptr<train::TeacherCache>> caches;
  job.sources.clear();
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto& [train, dev] = run.data[i];
    const models::Model* teacher = run.teachers.of(i);
    caches.push_back(teacher == nullptr
                         ? nullptr
                         : train::TeacherCache::Open(run.recipe, *teacher, run.models[i]->shape, train,
                                                     run.recipe.epochs(), cache_directory));
    job.sources.push_back({.train = &train,
                           .validate = &dev,
                           .task = parts[i].task,
                           .teacher = teacher,
                           .teacher_cache = caches.back().get(),
                           .weight = parts[i].weight});
  }
  const auto results = train::Train(job);
  if (!results[0].failure.empty()) throw WorkFailed(run.what, results[0].failure);
  if (results[0].best_epoch > 0)
    Say("kept: epoch " + std::to_string(results[0].best_epoch) + " of " + std::to_string(run.recipe.epochs()) +
        ", the best on the dev rows that are scored below");
  PendingDirectory out(run.out);
  std::vector<std::vector<data::Metric>> metrics;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto score = ScoreOnDev(*run.models[i], run.data[i].dev, *parts[i].task);
    metrics.push_back(score.evaluation.metrics);
    const std::string directory = run.mix.mixed ? out.working() + "/" + parts[i].task->name : out.working();
    fs::create_directories(directory);
    WriteExport(*run.models[i], parts[i].task->labels, run.tokenizer_directory,
                {.teacher = parts[i].teacher,
                 .task = parts[i].task->name,
                 .how = run.how,
                 .metrics = metrics.back(),
                 .null_threshold = score.null_threshold},
                directory);
    if (run.write_more) run.write_more(directory);
  }
  out.Commit();
  fs::remove(job.checkpoint);
  fs::remove_all(cache_directory);
  for (size_t i = 0; i < parts.size(); ++i)
    PrintWritten(metrics[i], run.mix.mixed ? run.out + "/" + parts[i].task->name : run.out);
}

void TrainOnText(const TextRun& run) {
  train::Job job;
  job.what = "distilling on text";
  job.recipe = run.recipe;
  job.deployment = run.deployment;
  job.sources[0] = {.train = &run.text, .teacher = &run.teacher, .tokenizer = &run.tokenizer};
  job.members = {
      {.name = run.member, .models = {&run.learning}, .seed = run.recipe.seed(), .view = run.view}};
  job.checkpoint = CheckpointPath(run.out);
  const auto results = train::Train(job);
  if (!results[0].failure.empty()) throw WorkFailed(job.what, results[0].failure);
  PendingDirectory out(run.out);
  WriteExport(run.student, run.label_names, run.tokenizer_directory, {.task = "plain text", .how = run.how},
              out.working());
  if (run.write_more) run.write_more(out.working());
  out.Commit();
  fs::remove(job.checkpoint);
  fs::remove_all(job.checkpoint + ".text");
  for (size_t epoch = 0; epoch < results[0].epochs.size(); ++epoch)
    std::printf("epoch %zu: loss %.5g\n", epoch + 1, results[0].epochs[epoch].train_loss);
  std::printf("written to %s\n", run.out.c_str());
}

}  // namespace thimble::tools
