// thimble evaluate MODEL... --task mrpc --data glue/ [--latency] [--submission DIR]
// thimble evaluate --predictions FILE --task squad --data .
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/output_directory.h"
#include "data/cache.h"
#include "data/metrics/submission.h"
#include "proto/deployment.pb.h"
#include "tools/command.h"
#include "tools/compare.h"
#include "tools/options.h"
#include "tools/quantities.h"
#include "tools/table.h"
#include "train/evaluate.h"

namespace thimble::tools {
namespace of_evaluate {
namespace {

struct Request : Options {
  std::vector<std::string> models, names;
  std::string task, data, predictions, submission;
  int max_length = 0;
  bool latency = false, json = false;
};

// Predictions for the test file, as the leaderboard takes them; answers to the dev file's questions where
// there is no other, as SQuAD's test files are not published. What --submission writes, and of which rows.
// Read before anything is computed: what is wrong with it shows then.
struct Submission {
  std::string path, odds_path;  // odds_path empty: there are none
  std::string file;             // the rows' name
  std::vector<data::Row> rows;
};

Submission PlanSubmission(const Request& request, const data::TaskEntry& task) {
  if (request.models.size() != 1)
    throw BadRequest("--submission", "is of one model", std::to_string(request.models.size()));
  const bool labelled = task.kind == data::TaskKind::kSpan && task.test.empty();
  Submission submission{.file = labelled ? task.dev : task.test};
  if (submission.file.empty() || task.submission.empty())
    throw BadRequest("--submission", "task " + task.name + " has no test file");
  auto& [path, odds_path, file, rows] = submission;
  path = request.submission + "/" + task.submission;
  if (task.unanswerable)
    odds_path = std::string(path).replace(path.rfind("_predictions"), std::string::npos, "_null_odds.json");
  for (const auto& each : {path, odds_path})
    if (!each.empty() && std::filesystem::exists(each) && !request.force)
      throw BadRequest(each, "is there already", "", "--force to overwrite it");
  rows = data::ReadRows(task, data::SplitPath(task, request.data, file),
                        data::ReadOptions{.labelled = labelled});
  const WritableDirectory writable(request.submission);
  return submission;
}

void Submit(const Request& request, const Submission& submission, const ScoredModel& scored,
            const proto::Deployment& deployment) {
  const auto& [path, odds_path, file, rows] = submission;
  const auto& [loaded, task, length] = scored;
  const bool spans = task.kind == data::TaskKind::kSpan;
  const data::WordPiece tokenizer(loaded.directory);
  const auto data = data::TokenizeCached(rows, task, tokenizer, length, deployment.threads(),
                                         data::CacheDirectory(deployment.cache()));
  const auto evaluation = train::Evaluate(loaded.model, data, spans ? &task : nullptr, {});
  const EnsuredDirectory made(request.submission);
  if (spans) {
    std::vector<std::string> answers;
    std::vector<double> odds;
    for (const auto& answer : evaluation.answers) {
      answers.push_back(answer.text);
      odds.push_back(answer.null_odds);
    }
    WriteFileAtomically(path, data::SquadSubmission(rows, answers));
    if (!odds_path.empty()) WriteFileAtomically(odds_path, data::NullOddsFile(rows, odds));
  } else {
    WriteFileAtomically(path, task.kind == data::TaskKind::kRegression
                                  ? data::GlueSubmission(task, evaluation.scores)
                                  : data::GlueSubmission(task, evaluation.predicted));
  }
  std::printf("%s: predictions for %zu rows of %s\n", path.c_str(), rows.size(), file.c_str());
}

void ScoreFile(const Request& request, const data::TaskEntry& task) {
  const auto rows = data::ReadRows(task, data::SplitPath(task, request.data, task.dev));
  std::vector<std::vector<std::string>> table = {{"predictions"}, {request.predictions}};
  for (const auto& metric : data::ScorePredictions(task, rows, request.predictions)) {
    table[0].push_back(metric.name);
    table[1].push_back(Decimal(100 * metric.value, 2) + " +- " + Decimal(100 * metric.standard_error, 2));
  }
  std::printf("%s\n%s, %s, whole set; +- one standard error\n", Table(table).c_str(), task.name.c_str(),
              task.dev.c_str());
}

void Run(const Request& request) {
  const auto& task = data::FindTask(request.task, request.data);
  if (task.dev.empty() && request.submission.empty())
    throw BadRequest("--task",
                     "task " + task.name + " has no labelled file; --submission DIR writes predictions");
  if (!request.predictions.empty()) return ScoreFile(request, task);
  if (request.models.empty())
    throw BadRequest("evaluate", "nothing to evaluate", "", "model directories, or --predictions FILE");
  const auto submission = request.submission.empty() ? Submission() : PlanSubmission(request, task);
  const auto deployment = MakeDeployment(request);
  std::vector<ModelRow> rows;
  if (!request.names.empty() && request.names.size() != request.models.size())
    throw BadRequest("--name", "one for each model, or none", std::to_string(request.names.size()),
                     std::to_string(request.models.size()));
  for (size_t i = 0; i < request.models.size(); ++i)
    rows.push_back({.name = request.names.empty() ? request.models[i] : request.names[i],
                    .directory = request.models[i]});
  if (!request.submission.empty())  // it is scored, and then asked
    rows[0].loaded = std::make_shared<const ScoredModel>(
        LoadScored(request.models[0], task, request.max_length, request.assume_label_order));
  if (!task.dev.empty())
    std::fputs(CompareModels(rows, task, request.data, task.dev,
                             {.latency = request.latency,
                              .json = request.json,
                              .assume_label_order = request.assume_label_order,
                              .max_length = request.max_length,
                              .threads = deployment.threads(),
                              .cache = deployment.cache()})
                   .c_str(),
               stdout);
  if (!request.submission.empty()) Submit(request, submission, *rows[0].loaded, deployment);
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("models", request->models, "model directories");
  app.add_option("--name", request->names, "what to call a model in the table; once for each model")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--task", request->task, "task name, or a text file with a message Task")->required();
  app.add_option("--data", request->data, "directory that holds the task's folder")->required();
  app.add_option(
      "--predictions", request->predictions,
      "score this file instead of a model: index and prediction, TAB-separated, or SQuAD's JSON of answers");
  app.add_option("--submission", request->submission,
                 "write predictions for the test file (SQuAD: the dev file), as the leaderboard takes them, "
                 "to this directory");
  app.add_option("--max-length", request->max_length,
                 "tokens of a row; default: those it was trained with, else up to 512, of a window with a "
                 "passage 384")
      ->check(CLI::Range(8, 512));
  app.add_flag("--json", request->json, "print the scores of the models as one JSON object; metrics of 1")
      ->excludes("--predictions")
      ->excludes("--submission");
  app.add_flag("--latency", request->latency, "measure latency too: batch 1, 128 tokens, 1 thread");
  AddLabelOrder(app, request.get());
  AddForce(app, request.get());
  AddDeployment(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_evaluate

std::function<void()> evaluate_command(CLI::App& app) { return of_evaluate::Add(app); }

}  // namespace thimble::tools
