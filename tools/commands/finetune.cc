// thimble finetune MODEL --task mrpc --data glue/ --out DIR [--teacher DIR]
#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "tools/training.h"

namespace thimble::tools {
namespace {

struct Request : Options {
  std::string model, task, data, out, teacher, recipe;
  int rows = 0;
  double epochs = -1, rate = 0;
};

// With a teacher: its class distribution beside the labels. Its inner states need fit_dense, which is not exported: that is
// `thimble distill`.
proto::Recipe Standard(const Request& request, int length) {
  proto::Recipe recipe = FinetuneRecipe();
  recipe.mutable_batching()->set_max_length(length);
  if (!request.teacher.empty()) {
    recipe.mutable_objective()->add_loss()->mutable_soft_labels();
    recipe.clear_dropout();
  }
  if (request.epochs >= 0) recipe.set_epochs(static_cast<int>(request.epochs));
  if (request.rate > 0) recipe.mutable_optimizer()->mutable_adamw()->set_learning_rate(request.rate);
  return recipe;
}

void Run(const Request& request) {
  const auto& task = FindTrainable(request.task, request.data);
  const int classes = static_cast<int>(task.labels.size());
  const auto head = train::HeadOf(task.kind);
  CheckOutputDirectory(request.out, request.force);
  auto loaded = models::LoadPretrained(request.model);
  const auto recipe = MakeRecipe(request.recipe, Standard(request, TokenLimit(task, loaded.model.shape)), request);
  const auto deployment = MakeDeployment(request);
  if (!models::HasHead(loaded.model, classes, head)) {
    if (loaded.model.classes > 0)
      Warn(request.model + " has " + models::DescribeHead(loaded.model.classes, loaded.model.head) + "; " + task.name +
           " needs " + models::DescribeHead(classes, head) + ": it is replaced");
    models::AddHead(&loaded, classes, task.labels, Random(recipe.seed()).Fork("head"), head);
  }
  std::unique_ptr<models::Pretrained> teacher;
  if (!request.teacher.empty()) {
    teacher = std::make_unique<models::Pretrained>(models::LoadPretrained(request.teacher));
    models::RequireHead(*teacher, classes, task.name, head);
  }
  // The recipe's demands are checked by the objective before data are read.
  distill::Objective(recipe.objective(), loaded.model.shape, teacher ? &teacher->model : nullptr, true);
  const int length = recipe.batching().max_length();
  const auto train_data =
      LoadSplit(task, request.data, task.train, request.model, request.rows, length, deployment.threads(),
                deployment.cache());
  const auto dev_data =
      LoadSplit(task, request.data, task.dev, request.model, 0, length, deployment.threads(), deployment.cache());
  if (request.dry_run) {
    Say("all is well: " + std::to_string(train_data.examples.size()) + " training rows, " +
        std::to_string(dev_data.examples.size()) + " dev rows");
    return;
  }
  TrainAndExport({.what = "fine-tuning",
                  .member = "model",
                  .task = task,
                  .recipe = recipe,
                  .deployment = deployment,
                  .train = train_data,
                  .dev = dev_data,
                  .teacher = teacher ? &teacher->model : nullptr,
                  .model = &loaded.model,
                  .tokenizer_directory = request.model,
                  .out = request.out,
                  .lineage = {.teacher = request.teacher, .task = task.name,
                              .how = "Fine-tuned from " + request.model + " on " + task.name + " for " +
                                     std::to_string(recipe.epochs()) + " epochs."}});
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("model", request->model, "directory of a BERT in Hugging Face layout, or of an exported student")->required();
  app.add_option("--task", request->task, "task name")->required();
  app.add_option("--data", request->data, "directory that holds the task's folder, e.g. glue/ with glue/MRPC")->required();
  app.add_option("--out", request->out, "directory to write")->required();
  app.add_option("--teacher", request->teacher, "fine-tuned teacher: its class distribution is learnt beside the labels");
  app.add_option("--recipe", request->recipe, "recipe file (proto/recipe.proto)");
  app.add_option("--rows", request->rows, "first training rows only; 0: all")->check(CLI::NonNegativeNumber);
  app.add_option("--epochs", request->epochs, "passes over the training rows")->check(CLI::NonNegativeNumber);
  app.add_option("--learning-rate", request->rate, "peak rate of AdamW")->check(CLI::PositiveNumber);
  AddDeployment(app, request.get());
  AddForce(app, request.get());
  AddRecipeOptions(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace

CommandEntry finetune_command() {
  return {"finetune", "Train a model (with a new task head if it has none) on a task", Add};
}

}  // namespace thimble::tools
