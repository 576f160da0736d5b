// thimble rank TEACHER --task qnli --data glue/ --out DIR: cheap scores and trained scores of a set of
// architectures
#include <CLI/CLI.hpp>
#include <memory>

#include "base/directory_lock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/output_directory.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "search/evaluators/ranking.h"
#include "search/one_size.h"
#include "tools/command.h"
#include "tools/options.h"
#include "tools/quantities.h"
#include "tools/run/recipes.h"
#include "tools/run/row_length.h"
#include "tools/run/splits.h"
#include "tools/table.h"
#include "train/batch.h"
#include "train/precision.h"
#include "train/task_model.h"

namespace thimble::tools {
namespace of_rank {
namespace {

struct Request : Options {
  std::string teacher, out, task, data, recipe, parameters;
  int rows = 4000, score_rows = 1000, dev_rows = 0, architectures = 40, seeds = 2, trigram = 128;
  std::optional<int> epochs;
  double tolerance = 0.1;
  std::vector<int> layers, hidden;
};

// Half, two thirds, five sixths and all of the teacher's layers; widths from a third to two thirds of its
// own.
void FillChoices(const models::ResolvedArchitecture& teacher, search::OneSize* wanted) {
  const auto layers = static_cast<int>(teacher.layers.size());
  if (wanted->layers.empty())
    for (const int sixths : {6, 5, 4, 3})
      if (const int depth = (layers * sixths + 3) / 6;
          wanted->layers.empty() || depth < wanted->layers.back())
        wanted->layers.push_back(depth);
  if (wanted->hidden.empty())
    for (int width = teacher.hidden / 3 / teacher.heads * teacher.heads; width <= teacher.hidden * 2 / 3;
         width += teacher.heads)
      wanted->hidden.push_back(width);
  for (const int width : wanted->hidden)
    if (width % teacher.heads != 0)
      throw BadRequest("--hidden", "must be a multiple of the teacher's heads", std::to_string(width),
                       std::to_string(teacher.heads) + " n");
}

std::string Summary(const proto::Architecture& architecture) {
  std::string stacks, ratios;
  for (const auto& layer : architecture.layer()) {
    stacks += std::to_string(layer.ffn().stacks());
    ratios += (ratios.empty() ? "" : " ") + layer.ffn().ratio();
  }
  return stacks + "  " + ratios;
}

void PrintPlan(const std::vector<proto::Architecture>& architectures, const models::Model& teacher) {
  std::vector<std::vector<std::string>> table = {
      {"", "layers", "hidden", "FFN", "parameters", "stacks  ratios", "first expression"}};
  for (const auto& architecture : architectures)
    table.push_back(
        {std::to_string(table.size()), std::to_string(architecture.layer_size()),
         std::to_string(architecture.hidden()), std::to_string(architecture.ffn_hidden()),
         Millions(models::DeployedParameters(models::Resolve(architecture), teacher.classes, teacher.head)),
         Summary(architecture), architecture.layer(0).ffn().expression()});
  std::fputs(Table(table).c_str(), stdout);
}

void Run(const Request& request) {
  const WritableDirectory output(request.out);
  const auto& task = FindTrainable(request.task, request.data);
  const auto deployment = MakeDeployment(request);
  const auto teacher = train::LoadTaskModel(request.teacher, task, request.assume_label_order);
  const auto recipe = MakeRecipe(request.recipe, DistilRecipe(), request, request.epochs);
  search::OneSize wanted{.tolerance = request.tolerance,
                         .classes = teacher.model.classes,
                         .head = teacher.model.head,
                         .trigram = request.trigram,
                         .layers = request.layers,
                         .hidden = request.hidden,
                         .together = 2};
  const int64_t whole =
      models::DeployedParameters(teacher.model.shape, teacher.model.classes, teacher.model.head);
  wanted.parameters =
      request.parameters.empty() ? whole * 3 / 10 : ParseCount("--parameters", request.parameters);
  FillChoices(teacher.model.shape, &wanted);
  const auto architectures =
      search::DrawOfOneSize(teacher.model.shape, wanted, request.architectures, Random(1));
  const auto trained = LengthLike(&teacher, task, teacher.model.shape);
  SayLength(trained, trained.tokens);
  const int length = trained.tokens;
  const auto all =
      LoadSplit(task, request.data, task.train, request.teacher, request.rows + request.score_rows, length,
                deployment.threads(), deployment.cache());
  const auto given = all.examples.size(), score_rows = static_cast<size_t>(request.score_rows);
  const size_t cut = given <= score_rows ? 0 : all.RowStart(given - score_rows);
  if (cut == 0)
    throw BadRequest("--score-rows", "no row is left to learn from", std::to_string(score_rows),
                     "fewer than the " + std::to_string(given) + " training rows");
  const auto train = all.Slice(0, cut), score = all.Slice(cut, given);
  const auto dev = LoadSplit(task, request.data, task.dev, request.teacher, request.dev_rows, length,
                             deployment.threads(), deployment.cache());
  for (const auto* rows : {&train, &score, &dev}) train::CheckFits(teacher.model, *rows, "the teacher");
  Info(std::to_string(train.examples.size()) + " rows to learn from, " +
       std::to_string(score.examples.size()) + " further ones for cheap scores, " +
       std::to_string(dev.examples.size()) + " dev rows");
  if (request.dry_run) return PrintPlan(architectures, teacher.model);
  const DirectoryLock lock(request.out, "thimble rank");
  search::Rank({.teacher = teacher,
                .task = task,
                .train = train,
                .score = score,
                .dev = dev,
                .recipe = recipe,
                .sliced = {},
                .deployment = deployment,
                .architectures = architectures,
                .seeds = request.seeds,
                .directory = request.out});
  std::printf("written to %s/ranks.jsonl; next: script/rank-study --report %s\n", request.out.c_str(),
              request.out.c_str());
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("teacher", request->teacher, "directory of a BERT fine-tuned on the task")->required();
  app.add_option("--task", request->task, "task name")->required();
  app.add_option("--data", request->data, "directory that holds the task's folder")->required();
  app.add_option("--out", request->out, "directory of the results; the same command goes on after a stop")
      ->required();
  app.add_option("--rows", request->rows, "first training rows: what students learn from")
      ->check(CLI::PositiveNumber);
  app.add_option("--score-rows", request->score_rows, "the training rows after them, for cheap scores")
      ->check(CLI::PositiveNumber);
  app.add_option("--dev-rows", request->dev_rows, "first dev rows only; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--architectures", request->architectures, "how many")->check(CLI::PositiveNumber);
  app.add_option("--parameters", request->parameters,
                 "deployed, of all of them; default: 30% of the teacher");
  app.add_option("--tolerance", request->tolerance, "their relative distance from it")
      ->check(CLI::Range(0.001, 0.5));
  app.add_option("--layers", request->layers, "depths, taken in turn")
      ->check(CLI::PositiveNumber)
      ->delimiter(',');
  app.add_option("--hidden", request->hidden, "widths to draw from")
      ->check(CLI::PositiveNumber)
      ->delimiter(',');
  app.add_option("--trigram", request->trigram, "width of the token table")->check(CLI::PositiveNumber);
  app.add_option("--seeds", request->seeds, "distillations of each")->check(CLI::PositiveNumber);
  app.add_option("--epochs", request->epochs, "of a distillation; default: the recipe's")
      ->check(CLI::PositiveNumber);
  app.add_option("--recipe", request->recipe, "recipe file (proto/recipe.proto)");
  AddLabelOrder(app, request.get());
  AddDeployment(app, request.get());
  AddRecipeOptions(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_rank

std::function<void()> rank_command(CLI::App& app) { return of_rank::Add(app); }

}  // namespace thimble::tools
