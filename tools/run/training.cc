#include "tools/run/training.h"

#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "distill/objective.h"
#include "tools/run/export.h"
#include "tools/run/splits.h"
#include "tools/run/training_output.h"
#include "train/batch.h"
#include "train/cohort.h"
#include "train/task_model.h"

namespace thimble::tools {

void PrintWritten(const std::vector<data::Metric>& metrics, const std::string& out) {
  for (const auto& metric : metrics)
    std::printf("%s %.2f +- %.2f\n", metric.name.c_str(), 100 * metric.value, 100 * metric.standard_error);
  std::printf("written to %s\n", out.c_str());
}

namespace {

// Of either kind of run: all but what it learns from.
template <typename Run>
train::Job JobOf(const Run& run, const std::string& what, const std::vector<models::Model*>& models) {
  train::Job job;
  job.what = what;
  job.recipe = run.recipe;
  job.deployment = run.deployment;
  const TrainingOutput out(run.out);
  job.members = {{.name = run.member,
                  .models = models,
                  .seed = run.recipe.seed(),
                  .view = run.view,
                  .events = out.events()}};
  job.checkpoint = out.checkpoint();
  job.start = run.start;
  return job;
}

train::Job JobOf(const TrainingRun& run) {
  train::Job job = JobOf(run, run.what + " " + run.mix.Names(), run.models);
  job.score_epochs = false;  // what is written is scored once, at the end
  job.mix_exponent = run.mix.exponent;
  job.sources.clear();
  for (size_t i = 0; i < run.mix.parts.size(); ++i) {
    const auto& part = run.mix.parts[i];
    job.sources.push_back({.train = &run.data[i].train,
                           .validate = &run.data[i].dev,
                           .task = part.task,
                           .teacher = run.teachers.of(i),
                           .weight = part.weight});
  }
  return job;
}

train::Job JobOf(const TextRun& run) {
  train::Job job = JobOf(run, "distilling on text", {&run.learning});
  job.sources[0] = {.train = run.text, .teacher = &run.teacher, .tokenizer = &run.tokenizer};
  return job;
}

// A failed run leaves no checkpoint. What keep: BEST has kept by then is a result.
train::MemberResult TrainOne(const train::Job& job, const TrainingOutput& out) {
  auto result = train::Train(job)[0];
  if (result.failure.empty()) return result;
  if (result.best_epoch == 0) {
    out.DropCheckpoint();
    throw WorkFailed(job.what, result.failure);
  }
  Warn(job.what + " stopped: " + result.failure);
  return result;
}

// Whether the scores that keep: BEST compared are, to the last bit, those of the weights that are written:
// float32, rows as long as they are, the fused attention, and no threshold to be tuned on the answers, which
// epochs do not keep.
bool ScoredAlready(const TrainingRun& run, size_t part, const train::MemberResult& result) {
  if (result.best_epoch == 0 || run.recipe.precision() != proto::FLOAT32 ||
      train::PaddedLength(run.recipe) > 0 || run.mix.parts[part].task->unanswerable)
    return false;
  models::ForwardOptions asked;
  distill::Objective(run.recipe.objective(), run.models[part]->shape, run.teachers.of(part), true)
      .Ask(&asked);
  // Those that compare states run the last layer on all tokens.
  const models::Model& model = *run.models[part];
  return !asked.attention_logits && !asked.kernel_logits &&
         ForLogits(model, asked).first_token_only == ForLogits(model).first_token_only;
}

DevScore ScoreOf(const TrainingRun& run, size_t part, const train::MemberResult& result) {
  if (ScoredAlready(run, part, result))
    return {.evaluation = result.epochs[static_cast<size_t>(result.best_epoch - 1)].validations[part]};
  return ScoreOnDev(*run.models[part], run.data[part].dev, *run.mix.parts[part].task);
}

void WritePart(const TrainingRun& run, size_t part, const DevScore& score, const std::string& directory) {
  const TaskPart& of = run.mix.parts[part];
  auto settings = train::TrainedWith(*of.task, run.recipe.batching().max_length(), run.models[part]->shape);
  settings.null_threshold = score.null_threshold;
  WriteExport(*run.models[part], of.task->labels, run.tokenizer_directory,
              {.teacher = of.teacher,
               .task = of.task->name,
               .how = run.how,
               .metrics = score.evaluation.metrics,
               .settings = settings},
              directory);
  if (run.write_more) run.write_more(directory);
}

}  // namespace

void Check(const TrainingRun& run) { train::Check(JobOf(run)); }
void Check(const TextRun& run) { train::Check(JobOf(run)); }

void TrainAndExport(const TrainingRun& run) {
  const auto& parts = run.mix.parts;
  train::Job job = JobOf(run);
  const TrainingOutput out(run.out);
  std::vector<std::unique_ptr<train::TeacherCache>> caches;
  int64_t room = train::TeacherCache::Room(run.recipe);  // of all files together; training rows are read most
  const auto open = [&](size_t part, const data::Dataset& rows) {
    const auto* teacher = job.sources[part].teacher;
    if (teacher == nullptr) return static_cast<const train::TeacherCache*>(nullptr);
    caches.push_back(train::TeacherCache::Open(run.recipe, *teacher, run.models[part]->shape, rows,
                                               run.recipe.epochs(), out.teacher_cache(), &room));
    return static_cast<const train::TeacherCache*>(caches.back().get());
  };
  for (size_t i = 0; i < parts.size(); ++i) job.sources[i].teacher_cache = open(i, run.data[i].train);
  if (run.recipe.keep() == proto::BEST)
    for (size_t i = 0; i < parts.size(); ++i) job.sources[i].validate_cache = open(i, run.data[i].dev);
  const auto result = TrainOne(job, out);
  if (result.best_epoch > 0)
    Info("kept: epoch " + std::to_string(result.best_epoch) + " of " + std::to_string(run.recipe.epochs()) +
         ", the best on the dev rows that are scored below");
  std::vector<DevScore> scores;
  for (size_t i = 0; i < parts.size(); ++i) scores.push_back(ScoreOf(run, i, result));
  out.Write([&](const std::string& working) {
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::string directory = run.mix.mixed ? working + "/" + parts[i].task->name : working;
      const EnsuredDirectory made(directory);
      WritePart(run, i, scores[i], directory);
    }
  });
  for (size_t i = 0; i < parts.size(); ++i)
    PrintWritten(scores[i].evaluation.metrics, run.mix.mixed ? run.out + "/" + parts[i].task->name : run.out);
}

void TrainOnText(const TextRun& run) {
  const train::Job job = JobOf(run);
  const TrainingOutput out(run.out);
  const auto result = TrainOne(job, out);
  out.Write([&](const std::string& working) {
    WriteExport(run.student, run.label_names, run.tokenizer_directory,
                {.task = "plain text", .how = run.how, .settings = run.settings}, working);
    if (run.write_more) run.write_more(working);
  });
  for (size_t epoch = 0; epoch < result.epochs.size(); ++epoch)
    std::printf("epoch %zu: loss %.5g\n", epoch + 1, result.epochs[epoch].train_loss);
  std::printf("written to %s\n", run.out.c_str());
}

}  // namespace thimble::tools
