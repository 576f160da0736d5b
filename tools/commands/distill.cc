// thimble distill TEACHER --architecture FILE --task mrpc --data glue/ --out DIR
#include <CLI/CLI.hpp>
#include <memory>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "distill/start/sliced.h"
#include "models/arch/cost.h"
#include "tools/sliced_report.h"
#include "tools/training.h"
#include "train/batch.h"

namespace thimble::tools {
namespace {

struct Request : Options {
  std::string teacher, architecture, task, data, out, recipe, text;
  int rows = 0;
  double epochs = -1;
  bool random_start = false;
};

models::Model Start(const Request& request, const models::Pretrained& teacher, const proto::Architecture& architecture,
                    const data::Dataset& data, const proto::Recipe& recipe, const proto::Sliced& options,
                    int threads, SlicedRecord* record) {
  const uint64_t seed = recipe.seed();
  if (request.random_start)
    return models::MakeModel(architecture, teacher.model.classes, teacher.model.shape.hidden, Random(seed).Fork("student"),
                             teacher.model.head);
  // The rows that `thimble slice` would take.
  const auto sample =
      request.text.empty()
          ? data.Slice(0, std::min<size_t>(options.rows(), data.examples.size()))
          : data::TokenizeText(Glob(request.text), options.rows(), data::WordPiece(request.teacher),
                               recipe.batching().max_length(), threads);
  const auto split = SplitSample(sample, options);
  const distill::SlicedStart start(teacher.model, split.fit, split.held_out, options,
                                   distill::StatedLayers(recipe.objective(), architecture.layer_size(),
                                                         static_cast<int>(teacher.model.shape.layers.size())));
  record->options = options;
  record->rows = split.rows;
  record->held_out_rows = split.held_out_rows;
  auto student = start.MakeCandidate(start.MakeSupernet(architecture, seed), architecture, &record->report);
  for (const auto& name : record->report.initialised) Say("nothing of the teacher corresponds to " + name + ": drawn at random");
  return student;
}

void Run(Request request) {
  const auto sliced = TakeSliced(&request);
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
  SlicedRecord record;
  auto student =
      Start(request, teacher, architecture, train_data, recipe, sliced, deployment.threads(), &record);
  TrainAndExport({.what = "distilling",
                  .member = "student",
                  .task = task,
                  .recipe = recipe,
                  .deployment = deployment,
                  .train = train_data,
                  .dev = dev_data,
                  .teacher = &teacher.model,
                  .model = &student,
                  .tokenizer_directory = request.teacher,
                  .out = request.out,
                  .lineage = {.teacher = request.teacher, .task = task.name,
                              .how = "Distilled for " + std::to_string(recipe.epochs()) + " epochs from " +
                                     (request.random_start ? "random weights."
                                                           : "the teacher's own weights, rotated, cut and refitted.")},
                  .write_more = [&](const std::string& directory) { WriteSlicedRecord(record, directory); }});
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
  app.add_option("--text", request->text, "plain text for the sliced start instead of training rows, e.g. 'text/*.txt'");
  AddDeployment(app, request.get());
  AddForce(app, request.get());
  AddRecipeOptions(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace

CommandEntry distill_command() { return {"distill", "Teach a student of a given architecture from a teacher", Add}; }

}  // namespace thimble::tools
