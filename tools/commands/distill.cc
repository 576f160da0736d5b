// thimble distill TEACHER --architecture FILE --task mrpc --data glue/ --out DIR
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "distill/start/sliced.h"
#include "models/arch/cost.h"
#include "tools/common.h"
#include "train/batch.h"
#include "train/cohort.h"

namespace thimble::tools {
namespace {

struct Request : Options {
  std::string teacher, architecture, task, data, out, recipe;
  int rows = 0;
  double epochs = -1;
  bool random_start = false;
};

models::Model Start(const Request& request, const models::Pretrained& teacher, const proto::Architecture& architecture,
                    const data::Dataset& data, const proto::Recipe& recipe) {
  const uint64_t seed = recipe.seed();
  if (request.random_start)
    return models::MakeModel(architecture, teacher.model.classes, teacher.model.shape.hidden, Random(seed).Fork("student"),
                             teacher.model.head);
  proto::Sliced options;
  const size_t rows = data.examples.size();
  const size_t held = std::min<size_t>(options.validate_rows(), std::max<size_t>(1, rows / 5));
  const size_t fit = std::min<size_t>(options.rows(), rows - held);
  if (fit == 0) throw BadRequest(request.data, "the sliced start needs at least two training rows", std::to_string(rows));
  const distill::SlicedStart start(teacher.model, train::MakeBatches(data.Slice(0, fit), 32),
                                   train::MakeBatches(data.Slice(rows - held, rows), 32), options,
                                   {recipe.objective().layer_map().begin(), recipe.objective().layer_map().end()});
  distill::SlicedReport report;
  auto student = start.MakeCandidate(start.MakeSupernet(architecture, seed), architecture, &report);
  for (const auto& name : report.initialised) Say("nothing of the teacher corresponds to " + name + ": drawn at random");
  return student;
}

void Run(const Request& request) {
  const auto& task = FindTrainable(request.task, request.data);
  const int classes = static_cast<int>(task.labels.size());
  CheckOutputDirectory(request.out, request.force);
  const auto teacher = models::LoadPretrained(request.teacher);
  auto standard = DistilRecipe();
  standard.mutable_batching()->set_max_length(TokenLimit(task, teacher.model.shape));
  if (request.epochs >= 0) standard.set_epochs(static_cast<int>(request.epochs));
  const auto recipe = MakeRecipe(request.recipe, standard, request);
  proto::Architecture architecture;
  ReadText(request.architecture, &architecture);
  const auto shape = models::Resolve(architecture, request.architecture);
  const auto deployment = MakeDeployment(request);
  models::RequireHead(teacher, classes, task.name, train::HeadOf(task.kind));
  if (shape.vocabulary != teacher.model.shape.vocabulary)
    throw BadRequest(request.architecture + ": vocabulary", "must be the teacher's", std::to_string(shape.vocabulary),
                     std::to_string(teacher.model.shape.vocabulary));
  distill::Objective(recipe.objective(), shape, &teacher.model, true);
  const int length = recipe.batching().max_length();
  const auto train_data =
      LoadSplit(task, request.data, task.train, request.teacher, request.rows, length, deployment.threads(),
                deployment.cache());
  const auto dev_data =
      LoadSplit(task, request.data, task.dev, request.teacher, 0, length, deployment.threads(), deployment.cache());
  if (request.dry_run) {
    Say("all is well: " + Millions(models::DeployedParameters(shape, classes, teacher.model.head)) + " parameters");
    return;
  }
  auto student = Start(request, teacher, architecture, train_data, recipe);
  train::Job job;
  job.what = "distilling " + task.name;
  job.recipe = recipe;
  job.deployment = deployment;
  job.train = &train_data;
  job.validate = &dev_data;
  job.task = &task;
  job.teacher = &teacher.model;
  job.members = {{.name = "student", .model = &student, .seed = recipe.seed()}};
  job.checkpoint = std::filesystem::path(request.out + "/").parent_path().string() + ".checkpoint";
  const std::string cache_directory = job.checkpoint + ".teacher";
  std::unique_ptr<train::TeacherCache> cache;
  if (job.teacher != nullptr)
    cache = train::TeacherCache::Open(recipe, *job.teacher, job.members[0].model->shape, train_data,
                                      recipe.epochs(), cache_directory);
  job.teacher_cache = cache.get();
  const auto results = train::Train(job);
  if (!results[0].failure.empty()) throw WorkFailed("distilling", results[0].failure);
  const auto [evaluation, null_threshold] = ScoreOnDev(student, dev_data, task);
  PendingDirectory out(request.out);
  WriteExport(student, task.labels, request.teacher,
              {.teacher = request.teacher, .task = task.name,
               .how = "Distilled for " + std::to_string(recipe.epochs()) + " epochs from " +
                      (request.random_start ? "random weights." : "the teacher's own weights, rotated, cut and refitted."),
               .metrics = evaluation.metrics, .null_threshold = null_threshold},
              out.working());
  out.Commit();
  std::filesystem::remove(job.checkpoint);
  std::filesystem::remove_all(cache_directory);
  for (const auto& metric : evaluation.metrics)
    std::printf("%s %.2f +- %.2f\n", metric.name.c_str(), 100 * metric.value, 100 * metric.standard_error);
  std::printf("written to %s\n", request.out.c_str());
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("teacher", request->teacher, "teacher directory, with its task head")->required();
  app.add_option("--architecture", request->architecture, "text file with an Architecture (proto/architecture.proto)")->required();
  app.add_option("--task", request->task, "task name")->required();
  app.add_option("--data", request->data, "directory that holds the task's folder")->required();
  app.add_option("--out", request->out, "directory to write")->required();
  app.add_option("--recipe", request->recipe, "recipe file (proto/recipe.proto)");
  app.add_option("--rows", request->rows, "first training rows only; 0: all")->check(CLI::NonNegativeNumber);
  app.add_option("--epochs", request->epochs, "passes over the training rows; 0: only the sliced start")->check(CLI::NonNegativeNumber);
  app.add_flag("--random-start", request->random_start, "start from random weights instead of the teacher's");
  AddDeployment(app, request.get());
  AddForce(app, request.get());
  AddRecipeOptions(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace

CommandEntry distill_command() { return {"distill", "Teach a student of a given architecture from a teacher", Add}; }

}  // namespace thimble::tools
