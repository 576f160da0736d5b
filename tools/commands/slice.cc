// thimble slice TEACHER --out DIR [--task mrpc --data glue/ | --text 'FILES'] [--max-params 9M | --architecture FILE]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
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

namespace thimble::tools {
namespace {

constexpr int kMaxLength = 128;
constexpr int kTrigram = 128;
constexpr size_t kEnoughTokens = 4000;  // below it the regressions see fewer tokens than ten an unknown

struct Request : Options {
  std::string teacher, out, task, data, text, max_params, architecture;
  int rows = 1000;
};

// The teacher's depth and heads, a trigram embedding, feed-forward blocks of four times the width with the teacher's activation.
proto::Architecture Uniform(const models::Model& teacher, int hidden) {
  proto::Architecture architecture;
  architecture.set_vocabulary(teacher.shape.vocabulary);
  architecture.set_positions(teacher.shape.positions);
  architecture.set_segments(teacher.shape.segments);
  architecture.set_hidden(hidden);
  architecture.set_heads(teacher.shape.heads);
  architecture.set_ffn_hidden(4 * hidden);
  architecture.set_pooler(teacher.shape.pooler);
  architecture.set_layer_norm_epsilon(teacher.shape.layer_norm_epsilon);
  architecture.mutable_embedding()->mutable_trigram()->set_width(std::min(kTrigram, hidden));
  for (const auto& from : teacher.architecture.layer()) {
    auto* layer = architecture.add_layer();
    layer->mutable_mixer()->mutable_self_attention();
    layer->mutable_ffn()->set_expression(from.ffn().expression());
  }
  return architecture;
}

proto::Architecture Widest(const models::Model& teacher, int64_t budget) {
  const int heads = teacher.shape.heads;
  proto::Architecture widest;
  int64_t least = 0;
  for (int hidden = 2 * heads; hidden <= teacher.shape.hidden; hidden += heads) {
    const auto architecture = Uniform(teacher, hidden);
    const int64_t count = models::DeployedParameters(models::Resolve(architecture), teacher.classes, teacher.head);
    if (least == 0) least = count;
    if (count > budget) break;
    widest = architecture;
  }
  if (widest.hidden() == 0)
    throw BadRequest("--max-params", "too few for any student of this teacher", Millions(budget), "at least " + Millions(least));
  return widest;
}

// What the teacher is looked at on: rows of a task, or lines of plain text.
data::Dataset Sample(const Request& request, const data::TaskEntry* task, int length, int threads) {
  if (task != nullptr)
    return LoadSplit(*task, request.data, task->train, request.teacher, request.rows, length, threads);
  const data::WordPiece tokenizer(request.teacher);
  return data::TokenizeText(Glob(request.text), request.rows, tokenizer, length, threads);
}

void Run(const Request& request) {
  if (request.task.empty() == request.text.empty())
    throw BadRequest("slice", "the teacher must be looked at on rows of a task or on plain text", "",
                     "either --task with --data, or --text");
  if (!request.task.empty() && request.data.empty()) throw BadRequest("--task", "needs --data");
  if (!request.architecture.empty() && !request.max_params.empty())
    throw BadRequest("--max-params", "the architecture is given already by --architecture");
  CheckOutputDirectory(request.out, request.force);
  const auto* task = request.task.empty() ? nullptr : &FindTrainable(request.task, request.data);
  const auto deployment = MakeDeployment(request);
  const auto begin = std::chrono::steady_clock::now();
  const auto loaded = models::LoadPretrained(request.teacher);
  const auto& teacher = loaded.model;
  if (task != nullptr && teacher.classes > 0)
    models::RequireHead(loaded, static_cast<int>(task->labels.size()), task->name, train::HeadOf(task->kind));
  const int64_t whole = models::DeployedParameters(teacher.shape, teacher.classes, teacher.head);
  proto::Architecture architecture;
  if (request.architecture.empty()) {
    architecture = Widest(teacher, request.max_params.empty() ? whole * 3 / 10 : ParseCount("--max-params", request.max_params));
  } else {
    ReadText(request.architecture, &architecture);
  }
  const auto shape = models::Resolve(architecture, request.architecture.empty() ? "the student" : request.architecture);
  const int length = task == nullptr ? kMaxLength : TokenLimit(*task, teacher.shape);
  const auto sample = Sample(request, task, length, deployment.threads());
  train::CheckFits(teacher, sample, "the teacher");
  if (request.dry_run) {
    Say("all is well: " + Millions(models::DeployedParameters(shape, teacher.classes, teacher.head)) + " parameters from " +
        std::to_string(sample.examples.size()) + " rows");
    return;
  }
  if (static_cast<size_t>(sample.Tokens()) < kEnoughTokens)
    Warn("the sample has only " + std::to_string(sample.Tokens()) +
         " tokens: refits are judged on too little to be trusted; give it more rows");
  // The last sixth judges; a single row must do both.
  const size_t rows = sample.examples.size(), held = rows == 1 ? 0 : std::clamp<size_t>(rows / 6, 1, 200);
  const auto fit = train::MakeBatches(sample.Slice(0, rows - held), 32);
  const auto held_out = held == 0 ? fit : train::MakeBatches(sample.Slice(rows - held, rows), 32);
  const distill::SlicedStart start(teacher, fit, held_out, proto::Sliced());
  distill::SlicedReport report;
  const auto student = start.MakeCandidate(start.MakeSupernet(architecture, 1), architecture, &report);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

  std::vector<std::vector<std::string>> table = {{"block", "cut", "refitted", "by"}};
  for (const auto& block : report.blocks)
    table.push_back({block.block, Decimal(block.before, 3), Decimal(block.after, 3), block.goal});
  std::printf("explained variance of the teacher's states on %zu held-out rows:\n%s\n", held == 0 ? rows : held,
              Table(table).c_str());
  for (const auto& name : report.initialised) Say("nothing of the teacher corresponds to " + name + ": drawn at random");

  Lineage lineage = {.teacher = request.teacher,
                     .task = task != nullptr ? task->name : "no task yet",
                     .how = "Cut out of its teacher's own weights with `thimble slice` (rotated, cut, refitted on " +
                            std::to_string(sample.examples.size()) + " rows); not trained."};
  const std::string size = Millions(models::DeployedParameters(shape, teacher.classes, teacher.head)) + " of the teacher's " + Millions(whole) + " parameters";
  if (task != nullptr && teacher.classes > 0) {
    const auto dev = LoadSplit(*task, request.data, task->dev, request.teacher, 0, length, deployment.threads());
    const auto score = ScoreOnDev(student, dev, *task);
    lineage.metrics = score.evaluation.metrics;
    lineage.null_threshold = score.null_threshold;
    const auto teachers = ScoreOnDev(teacher, dev, *task).evaluation.metrics;
    for (size_t i = 0; i < teachers.size(); ++i)
      std::printf("%s %.2f +- %.2f untrained (teacher %.2f)\n", teachers[i].name.c_str(), 100 * lineage.metrics[i].value,
                  100 * lineage.metrics[i].standard_error, 100 * teachers[i].value);
  }
  PendingDirectory out(request.out);
  WriteExport(student, loaded.label_names, request.teacher, lineage, out.working());
  out.Commit();
  std::printf("%s, %.1f s from loading to the refitted student; written to %s\n", size.c_str(), seconds, request.out.c_str());
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("teacher", request->teacher, "directory of a BERT, with or without a task head")->required();
  app.add_option("--out", request->out, "directory to write")->required();
  app.add_option("--task", request->task, "task whose training rows the teacher is looked at on");
  app.add_option("--data", request->data, "directory that holds the task's folder");
  app.add_option("--text", request->text, "plain text instead, one row a line, e.g. 'text/*.txt'");
  app.add_option("--rows", request->rows, "first rows or lines of it")->check(CLI::PositiveNumber);
  app.add_option("--max-params", request->max_params, "the widest student within it, e.g. 9M; default: 30% of the teacher");
  app.add_option("--architecture", request->architecture, "instead text file with an Architecture (proto/architecture.proto)");
  AddDeployment(app, request.get());
  AddForce(app, request.get());
  app.add_flag("--dry-run", request->dry_run, "check everything, then stop");
  return [request] { Run(*request); };
}

}  // namespace

CommandEntry slice_command() { return {"slice", "Shrink a BERT now: a student cut from it, without search or training", Add}; }

}  // namespace thimble::tools
