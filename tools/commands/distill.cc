// thimble distill TEACHER --architecture FILE --task mrpc --data glue/ --out DIR
// thimble distill TEACHER --architecture FILE --mix mix.textproto --data glue/ --out DIR
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
  TaskRequest tasks;
  std::string teacher, architecture, out, recipe, text;
  double epochs = -1;
  bool random_start = false;
};

// The rows that `thimble slice` would take; of several tasks as many of each.
data::Dataset Sample(const std::vector<TaskData>& data, int rows) {
  const auto some = [&](const data::Dataset& all) {
    return all.Slice(0, std::min(std::max<size_t>(1, rows / data.size()), all.examples.size()));
  };
  if (data.size() == 1) return some(data[0].train);
  data::Dataset sample;  // text without labels, so that it ends with a part of every task
  std::vector<data::Dataset> parts;
  for (const auto& task : data) parts.push_back(some(task.train));
  for (size_t i = 0, added = 1; added > 0; ++i) {
    added = 0;
    for (const auto& part : parts)
      if (i < part.examples.size()) {
        sample.examples.push_back({.ids = part.examples[i].ids, .segments = part.examples[i].segments});
        ++added;
      }
  }
  return sample;
}

models::Model Start(const Request& request, const models::Pretrained& teacher,
                    const proto::Architecture& architecture, const std::vector<TaskData>& data,
                    const proto::Recipe& recipe, const proto::Sliced& options, int threads,
                    SlicedRecord* record) {
  const uint64_t seed = recipe.seed();
  if (request.random_start)
    return models::MakeModel(architecture, teacher.model.classes, teacher.model.shape.hidden,
                             Random(seed).Fork("student"), teacher.model.head);
  const auto sample = request.text.empty() ? Sample(data, options.rows())
                                           : data::TokenizeText(Glob(request.text), options.rows(),
                                                                data::WordPiece(request.teacher),
                                                                recipe.batching().max_length(), threads);
  const auto split = SplitSample(sample, options);
  const distill::SlicedStart start(
      teacher.model, split.fit, split.held_out, options,
      distill::StatedLayers(recipe.objective(), architecture.layer_size(),
                            static_cast<int>(teacher.model.shape.layers.size())));
  record->options = options;
  record->rows = split.rows;
  record->held_out_rows = split.held_out_rows;
  auto student = start.MakeCandidate(start.MakeSupernet(architecture, seed), architecture, &record->report);
  for (const auto& name : record->report.initialised)
    Say("nothing of the teacher corresponds to " + name + ": drawn at random");
  return student;
}

// A head as wide as its teacher's begins as that.
void TakeHead(const models::Model& teacher, models::Model* student) {
  for (const char* name : {"head.weight", "head.bias"})
    if (teacher.weights.at(name).sizes() == student->weights.at(name).sizes())
      student->weights.at(name) = teacher.weights.at(name).clone();
}

void Run(Request request) {
  const auto sliced = TakeSliced(&request);
  auto mix = ReadTasks(request.tasks);
  for (auto& part : mix.parts)
    if (part.teacher.empty()) part.teacher = request.teacher;
  CheckOutputDirectory(request.out, request.force);
  const auto teacher = models::LoadPretrained(request.teacher);
  auto standard = DistilRecipe();
  standard.mutable_batching()->set_max_length(TokenLimit(mix, teacher.model.shape));
  if (request.epochs >= 0) standard.set_epochs(static_cast<int>(request.epochs));
  const auto recipe = MakeRecipe(request.recipe, standard, request);
  proto::Architecture architecture;
  ReadText(request.architecture, &architecture);
  const auto shape = models::Resolve(architecture, request.architecture);
  if (!request.random_start) distill::CheckSliceable(shape, teacher.model);
  const auto deployment = MakeDeployment(request);
  const Teachers teachers(mix);
  for (size_t i = 0; i < mix.parts.size(); ++i) {
    const auto& of_task = *teachers.of(i);
    if (shape.vocabulary != of_task.shape.vocabulary)
      throw BadRequest(request.architecture + ": vocabulary", "must be the teacher's",
                       std::to_string(shape.vocabulary), std::to_string(of_task.shape.vocabulary));
    if (of_task.shape.hidden != teacher.model.shape.hidden)
      throw BadRequest(mix.parts[i].teacher, "the teachers of a mix are as wide as " + request.teacher,
                       std::to_string(of_task.shape.hidden), std::to_string(teacher.model.shape.hidden));
    distill::Objective(recipe.objective(), shape, &of_task, true);
  }
  const auto data = LoadTasks(mix, request.teacher, recipe.batching().max_length(), deployment);
  if (request.dry_run) {
    const auto& first = mix.parts[0];
    Say("all is well: " + Millions(models::DeployedParameters(shape, first.classes(), first.head())) +
        " parameters");
    return;
  }
  SlicedRecord record;
  models::Pretrained student{
      .model = Start(request, teacher, architecture, data, recipe, sliced, deployment.threads(), &record)};
  auto students = WithHeads(student, mix, recipe.seed());
  std::vector<models::Model*> taught;
  for (size_t i = 0; i < students.size(); ++i) {
    if (mix.mixed && !request.random_start) TakeHead(*teachers.of(i), &students[i].model);
    taught.push_back(&students[i].model);
  }
  TrainAndExport({.what = "distilling",
                  .member = "student",
                  .mix = mix,
                  .recipe = recipe,
                  .deployment = deployment,
                  .data = data,
                  .teachers = teachers,
                  .models = taught,
                  .tokenizer_directory = request.teacher,
                  .out = request.out,
                  .how = "Distilled on " + mix.Names() + " for " + std::to_string(recipe.epochs()) +
                         " epochs from " +
                         (request.random_start ? "random weights."
                                               : "the teacher's own weights, rotated, cut and refitted."),
                  .write_more = [&](const std::string& directory) { WriteSlicedRecord(record, directory); }});
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("teacher", request->teacher,
                 "teacher directory, with its task head (of a mix: where the student comes from; parts may "
                 "have teachers of their own)")
      ->required();
  app.add_option("--architecture", request->architecture,
                 "text file with an Architecture (proto/architecture.proto)")
      ->required();
  AddTasks(app, &request->tasks);
  app.add_option("--out", request->out, "directory to write")->required();
  app.add_option("--recipe", request->recipe, "recipe file (proto/recipe.proto)");
  app.add_option("--epochs", request->epochs, "passes over the training rows; 0: only the sliced start")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--random-start", request->random_start, "start from random weights instead of the teacher's");
  app.add_option("--text", request->text,
                 "plain text for the sliced start instead of training rows, e.g. 'text/*.txt'");
  AddDeployment(app, request.get());
  AddForce(app, request.get());
  AddRecipeOptions(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace

CommandEntry distill_command() {
  return {"distill", "Teach a student of a given architecture from a teacher", Add};
}

}  // namespace thimble::tools
