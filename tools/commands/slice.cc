// thimble slice TEACHER --out DIR [--task mrpc --data glue/ | --text 'FILES']
//     [--speedup 4 | --max-params 9M | --architecture FILE]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/output_directory.h"
#include "distill/start/sliced.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "tools/command.h"
#include "tools/options.h"
#include "tools/quantities.h"
#include "tools/run/export.h"
#include "tools/run/row_length.h"
#include "tools/run/sliced_report.h"
#include "tools/run/splits.h"
#include "tools/run/student.h"
#include "tools/study/allotted.h"
#include "train/batch.h"
#include "train/task_model.h"
#include "train/training_weights.h"

namespace thimble::tools {
namespace of_slice {
namespace {

constexpr int kTrigram = 128;
constexpr double kWeighTokens = 0.5;  // of allotted students' regressions
constexpr int kJudgeRows = 1000;      // beyond those of the sliced start; allocations are told apart on them

struct Request : Options {
  std::string teacher, out, task, data, text, max_params, max_latency, architecture;
  std::vector<std::string> rules;
  int rows = 0, layers = 0, steps = 0;
  double speedup = 0;
  uint64_t seed = 1;
  bool bases = false;
  bool onward = false;
};

// `layers` layers (0: the teacher's depth), its heads, a trigram embedding, feed-forward blocks of four times
// the width with its activation.
proto::Architecture Uniform(const models::Model& teacher, int hidden, int layers) {
  auto architecture = models::LikeTeacher(teacher.shape);
  architecture.set_hidden(hidden);
  architecture.set_ffn_hidden(4 * hidden);
  architecture.mutable_embedding()->mutable_trigram()->set_width(std::min(kTrigram, hidden));
  for (int i = 0; i < (layers > 0 ? layers : teacher.architecture.layer_size()); ++i) {
    const auto& from = teacher.architecture.layer(std::min(i, teacher.architecture.layer_size() - 1));
    auto* layer = architecture.add_layer();
    layer->mutable_mixer()->mutable_self_attention();
    layer->mutable_ffn()->set_expression(from.ffn().expression());
  }
  return architecture;
}

proto::Architecture Widest(const models::Model& teacher, int64_t budget, int layers) {
  const int heads = teacher.shape.heads;
  proto::Architecture widest;
  int64_t least = 0;
  for (int hidden = 2 * heads; hidden <= teacher.shape.hidden; hidden += heads) {
    const auto architecture = Uniform(teacher, hidden, layers);
    const int64_t count =
        models::DeployedParameters(models::Resolve(architecture), teacher.classes, teacher.head);
    if (least == 0) least = count;
    if (count > budget) break;
    widest = architecture;
  }
  if (widest.hidden() == 0)
    throw BadRequest("--max-params", "too few for any student of this teacher", Millions(budget),
                     "at least " + Millions(least));
  return widest;
}

// Students whose heads and neurons are allotted layer by layer.
bool Allocates(const Request& request) { return request.speedup > 0 || !request.max_latency.empty(); }

void CheckGoal(const Request& request) {
  if (!Allocates(request)) {
    if (!request.rules.empty() || request.steps > 0)
      throw BadRequest(request.rules.empty() ? "--steps" : "--rules",
                       "of students that are allotted to a goal", "", "with --speedup or --max-latency");
    return;
  }
  const std::string goal = request.speedup > 0 ? "--speedup" : "--max-latency";
  for (const auto& [flag, given] :
       {std::pair("--max-latency", request.speedup > 0 && !request.max_latency.empty()),
        {"--max-params", !request.max_params.empty()},
        {"--architecture", !request.architecture.empty()},
        {"--layers", request.layers > 0},
        {"--text", !request.text.empty()}})
    if (given)
      throw BadRequest(goal, "decides the student's shape, by rows of the task", std::string("also ") + flag,
                       "one of them");
}

// What the teacher is looked at on: lines of plain text, or else rows of a task.
data::Dataset Sample(const Request& request, const data::TaskEntry* task, int rows, int length, int threads) {
  if (request.text.empty())
    return LoadSplit(*task, request.data, task->train, request.teacher, rows, length, threads);
  const data::WordPiece tokenizer(request.teacher);
  return data::TokenizeText(Glob(request.text), rows, tokenizer, length, threads);
}

void Run(Request request) {
  auto sliced = TakeSliced(&request);
  if (Allocates(request)) {
    if (!sliced.has_surgeon()) sliced.set_surgeon(true);
    if (!sliced.has_weigh_tokens()) sliced.set_weigh_tokens(kWeighTokens);
  }
  if (!request.set.empty())
    throw BadRequest("--set", "no such field", request.set.front(),
                     "sliced.FIELD=VALUE; `thimble describe warmup sliced`");
  const int rows = request.rows > 0 ? request.rows : sliced.rows();
  if (request.task.empty() && request.text.empty())
    throw BadRequest(
        "slice", "the teacher must be looked at on rows of a task or on plain text", "",
        "--task with --data, or --text, or all three: then the task only says how good the student is");
  if (!request.task.empty() && request.data.empty()) throw BadRequest("--task", "needs --data");
  if (!request.architecture.empty() && !request.max_params.empty())
    throw BadRequest("--max-params", "the architecture is given already by --architecture");
  if (!request.architecture.empty() && request.layers > 0)
    throw BadRequest("--layers", "the architecture is given already by --architecture");
  const OutputDirectory output(request.out, request.force);
  const auto* task = request.task.empty() ? nullptr : &FindTrainable(request.task, request.data);
  const auto deployment = MakeDeployment(request);
  CheckGoal(request);
  const auto begin = std::chrono::steady_clock::now();
  auto loaded = models::LoadPretrained(request.teacher);
  models::RequireOneLabel(loaded);
  const auto& teacher = loaded.model;
  const auto taught = request.onward ? train::Taught(loaded) : std::nullopt;
  if (request.onward && !taught)
    throw BadRequest("--onward", "the model has no projection to a teacher of its own", request.teacher,
                     "a student that `thimble distill` has taught");
  if (task != nullptr && teacher.classes > 0) {
    models::RequireHead(loaded, static_cast<int>(task->labels.size()), task->name, train::HeadOf(task->kind));
    train::TakeLabelOrder(*task, request.assume_label_order, &loaded);
  }
  if (Allocates(request) && teacher.classes == 0)
    throw BadRequest(
        "slice", "students for a goal are judged by the teacher's answers, and it has no task head",
        request.teacher, "a teacher made by `thimble finetune DIR --task TASK`, or --max-params");
  const int64_t whole = models::DeployedParameters(teacher.shape, teacher.classes, teacher.head);
  proto::Architecture architecture;
  if (Allocates(request)) {
    architecture = teacher.architecture;  // the largest there can be
  } else if (request.architecture.empty()) {
    architecture = Widest(
        teacher, request.max_params.empty() ? whole * 3 / 10 : ParseCount("--max-params", request.max_params),
        request.layers);
  } else {
    ReadText(request.architecture, &architecture);
  }
  const auto shape =
      models::Resolve(architecture, request.architecture.empty() ? "the student" : request.architecture);
  distill::CheckSliceable(shape, teacher);
  const auto trained = LengthLike(&loaded, task == nullptr ? data::TaskEntry() : *task, teacher.shape);
  SayLength(trained, trained.tokens);
  const int length = trained.tokens;
  const auto all =
      Sample(request, task, rows + (Allocates(request) ? kJudgeRows : 0), length, deployment.threads());
  train::CheckFits(teacher, all, "the teacher");
  const size_t judged = Allocates(request) ? std::min<size_t>(kJudgeRows, all.examples.size() / 2) : 0;
  const auto sample =
      all.Slice(0, judged > 0 ? all.RowStart(all.examples.size() - judged) : all.examples.size());
  if (request.dry_run) {
    Info("all is well: " +
         (Allocates(request)
              ? "allotted to a goal"
              : Millions(models::DeployedParameters(shape, teacher.classes, teacher.head)) + " parameters") +
         " from " + std::to_string(sample.examples.size()) + " rows");
    return;
  }
  const auto split = SplitSample(sample, sliced);
  const distill::SlicedStart start(teacher, split.fit, split.held_out, sliced);
  SlicedRecord record;
  auto student =
      Allocates(request)
          ? AllotStudent({.speedup = request.speedup,
                          .max_ms = request.max_latency.empty()
                                        ? 0
                                        : ParseMilliseconds("--max-latency", request.max_latency),
                          .rules = request.rules,
                          .steps = request.steps,
                          .length = length,
                          .threads = deployment.threads(),
                          .seed = request.seed},
                         teacher, start, all.Slice(sample.examples.size(), all.examples.size()), &record)
          : start.MakeCandidate(start.MakeSupernet(architecture, request.seed), architecture, &record.report);
  if (taught) train::ProjectThrough(*taught, &student);
  const int64_t own = models::DeployedParameters(student.shape, teacher.classes, teacher.head);
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  record.options = sliced;
  record.rows = split.rows;
  record.held_out_rows = split.held_out_rows;
  record.parameters = own;
  record.teacher_parameters = whole;
  if (request.bases) record.captured = start.Captured(student.shape.hidden);
  std::printf("explained variance of the teacher's states on %d held-out rows:\n%s\n",
              static_cast<int>(split.held_out_rows), BlockTable(record.report).c_str());
  for (const auto& name : record.report.initialised)
    Info("nothing of the teacher corresponds to " + name + ": drawn at random");

  Lineage lineage = {
      .teacher = request.teacher,
      .task = task != nullptr ? task->name : "no task yet",
      .how = "Cut out of its teacher's own weights with `thimble slice` (rotated, cut, refitted on " +
             std::to_string(sample.examples.size()) + " rows); not trained.",
      .settings = loaded.settings};
  const std::string size = Millions(own) + " of the teacher's " + Millions(whole) + " parameters";
  if (task != nullptr && teacher.classes > 0) {
    const auto own = train::WithSettings(*task, loaded);
    const auto dev =
        LoadSplit(own, request.data, task->dev, request.teacher, 0, length, deployment.threads());
    const auto score = ScoreOnDev(student, dev, own);
    lineage.metrics = score.evaluation.metrics;
    lineage.settings.null_threshold = score.null_threshold;
    const auto teachers = ScoreOnDev(teacher, dev, own).evaluation.metrics;
    record.metrics = lineage.metrics;
    record.teacher_metrics = teachers;
    for (size_t i = 0; i < teachers.size(); ++i)
      std::printf("%s %.2f +- %.2f untrained (teacher %.2f)\n", teachers[i].name.c_str(),
                  100 * lineage.metrics[i].value, 100 * lineage.metrics[i].standard_error,
                  100 * teachers[i].value);
  }
  PendingOutput out(request.out);
  WriteExport(student, loaded.label_names, request.teacher, lineage, out.working());
  train::WriteTrainingWeights(student, out.working());
  WriteSlicedRecord(record, out.working());
  out.Commit();
  std::printf("%s, %.1f s from loading to the refitted student; written to %s\n", size.c_str(),
              record.seconds, request.out.c_str());
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("teacher", request->teacher, "directory of a BERT, with or without a task head")->required();
  app.add_option("--out", request->out, "directory to write")->required();
  app.add_option("--task", request->task, "task whose training rows the teacher is looked at on");
  app.add_option("--data", request->data, "directory that holds the task's folder");
  app.add_option("--text", request->text, "plain text instead, one row a line, e.g. 'text/*.txt'");
  app.add_option("--rows", request->rows, "first rows or lines of it; default: sliced.rows")
      ->check(CLI::PositiveNumber);
  app.add_option(
         "--speedup", request->speedup,
         "so many times fewer multiply-adds than the teacher's, heads and neurons allotted layer by layer")
      ->check(CLI::Range(1.01, 1000.0));
  app.add_option("--max-latency", request->max_latency,
                 "the same within a time on this machine: batch 1, 128 tokens, 1 thread; e.g. 5ms");
  app.add_option("--rules", request->rules, "how budgets may be laid out; default: all but random")
      ->delimiter(',')
      ->check(CLI::IsMember({"plan", "taper", "uniform", "random"}));
  app.add_option("--steps", request->steps, "students tried by local search from the best of them")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--max-params", request->max_params,
                 "the widest student within it, e.g. 9M; default: 30% of the teacher");
  app.add_option("--architecture", request->architecture,
                 "instead text file with an Architecture (proto/architecture.proto)");
  app.add_option("--layers", request->layers, "of the student; default: the teacher's")
      ->check(CLI::Range(1, 1000));
  app.add_option("--seed", request->seed, "of what nothing in the teacher corresponds to");
  app.add_flag("--onward", request->onward,
               "of a taught student, to cut in steps: what is cut from it is taught by its teacher, whose "
               "states its projection leads to");
  app.add_flag("--bases", request->bases,
               "record how much variance shared and own directions of each state hold");
  app.add_option("--set", request->set,
                 "options of the sliced start: sliced.FIELD=VALUE, e.g. sliced.ridge=0");
  AddLabelOrder(app, request.get());
  AddDeployment(app, request.get());
  AddForce(app, request.get());
  app.add_flag("--dry-run", request->dry_run, "check everything, then stop");
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_slice

std::function<void()> slice_command(CLI::App& app) { return of_slice::Add(app); }

}  // namespace thimble::tools
