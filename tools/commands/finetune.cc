// thimble finetune MODEL --task mrpc --data glue/ --out DIR [--teacher DIR]
// thimble finetune MODEL --mix mix.textproto --data glue/ --out DIR
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "base/output_directory.h"
#include "proto/recipe.pb.h"
#include "tools/options.h"
#include "tools/run/recipes.h"
#include "tools/run/training.h"

namespace thimble::tools {
namespace of_finetune {
namespace {

struct Request : Options {
  TaskRequest tasks;
  std::string model, out, teacher, recipe;
  std::optional<int> epochs;
  double rate = 0;
};

// With a teacher: its class distribution beside the labels. Its inner states need fit_dense, which is not
// exported: that is `thimble distill`.
proto::Recipe Standard(bool taught, int length) {
  proto::Recipe recipe = FinetuneRecipe();
  recipe.mutable_batching()->set_max_length(length);
  if (taught) {
    recipe.mutable_objective()->add_loss()->mutable_soft_labels();
    recipe.clear_dropout();
  }
  return recipe;
}

void Run(const Request& request) {
  auto mix = ReadTasks(request.tasks);
  for (auto& part : mix.parts)
    if (part.teacher.empty()) part.teacher = request.teacher;
  const bool taught =
      std::any_of(mix.parts.begin(), mix.parts.end(), [](const auto& part) { return !part.teacher.empty(); });
  const OutputDirectory output(request.out, request.force);
  const auto loaded = models::LoadPretrained(request.model);
  const Teachers teachers(mix, request.assume_label_order);
  const auto length = LengthOf(mix, teachers, &loaded, loaded.model.shape);
  auto recipe =
      MakeRecipe(request.recipe, Standard(taught, length.tokens), request, request.epochs, request.rate);
  TakeLength(length, &recipe);
  const auto deployment = MakeDeployment(request);
  auto models = WithHeads(loaded, mix, recipe.seed(), request.assume_label_order);
  // The recipe's demands are checked by the objective before data are read.
  teachers.RequireVocabulary(loaded.model.shape);
  for (size_t i = 0; i < mix.parts.size(); ++i)
    distill::Objective(recipe.objective(), loaded.model.shape, teachers.of(i), true);
  const auto data = LoadTasks(mix, request.model, recipe.batching().max_length(), deployment);
  std::vector<models::Model*> trained;
  for (auto& model : models) trained.push_back(&model.model);
  const TrainingRun run{.what = "fine-tuning",
                        .member = "model",
                        .mix = mix,
                        .recipe = recipe,
                        .deployment = deployment,
                        .data = data,
                        .teachers = teachers,
                        .view = nullptr,
                        .models = trained,
                        .start = {"weights " + loaded.model.weights.Hash()},
                        .tokenizer_directory = request.model,
                        .out = request.out,
                        .how = "Fine-tuned from " + request.model + " on " + mix.Names() + " for " +
                               std::to_string(recipe.epochs()) + " epochs."};
  Check(run);
  if (request.dry_run) {
    for (size_t i = 0; i < mix.parts.size(); ++i)
      Info(mix.parts[i].task->name + ": all is well: " + std::to_string(data[i].train.examples.size()) +
           " training rows, " + std::to_string(data[i].dev.examples.size()) + " dev rows");
    return;
  }
  TrainAndExport(run);
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("model", request->model,
                 "directory of a BERT in Hugging Face layout, or of an exported student")
      ->required();
  AddTasks(app, &request->tasks);
  app.add_option("--out", request->out, "directory to write")->required();
  app.add_option("--teacher", request->teacher,
                 "fine-tuned teacher: its class distribution is learnt beside the labels");
  app.add_option("--recipe", request->recipe, "recipe file (proto/recipe.proto)");
  app.add_option("--epochs", request->epochs, "passes over the training rows, instead of the recipe's")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--learning-rate", request->rate, "peak learning rate, instead of the recipe's")
      ->check(CLI::PositiveNumber);
  AddLabelOrder(app, request.get());
  AddDeployment(app, request.get());
  AddForce(app, request.get());
  AddRecipeOptions(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_finetune

std::function<void()> finetune_command(CLI::App& app) { return of_finetune::Add(app); }

}  // namespace thimble::tools
