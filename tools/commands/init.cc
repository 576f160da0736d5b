// thimble init DIR --task mrpc --data glue/ --teacher DIR [--speedup 4 | --max-latency 5ms | --max-params 9M]
// [--minutes 30]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/output_directory.h"
#include "base/spelling.h"
#include "distill/start/sliced.h"
#include "models/latency.h"
#include "proto/deployment.pb.h"
#include "proto/study.pb.h"
#include "search/controller.h"
#include "search/evaluators/measured_latency.h"
#include "tools/command.h"
#include "tools/options.h"
#include "tools/quantities.h"
#include "tools/run/row_length.h"
#include "tools/run/splits.h"
#include "tools/study/new_study.h"
#include "train/task_model.h"
#include "train/threads.h"

namespace thimble::tools {
namespace of_init {
namespace {

struct Request : Options {
  std::string directory, task, data, teacher, corpus, ready, search = "shapes", effort;
  bool operators = false;
  std::vector<std::string> max_params, max_latency;
  std::vector<double> speedup;
  int rows = 0;
  double minutes = 0;
};

struct Effort {
  double minutes;  // of a search over shapes
  OperatorEffort operators;
};

Effort EffortOf(const std::string& name) {
  if (name == "quick")
    return {10,
            {.joint = 4,
             .operators = 4,
             .shape = 16,
             .population = 4,
             .rows = 300,
             .lines = 1200,
             .epochs = 2,
             .keep = 0.5}};
  if (name == "standard")
    return {30,
            {.joint = 8,
             .operators = 4,
             .shape = 24,
             .population = 4,
             .rows = 600,
             .lines = 4000,
             .epochs = 2,
             .keep = 0.25}};
  if (name == "thorough")
    return {240,
            {.joint = 48,
             .operators = 32,
             .shape = 256,
             .population = 16,
             .rows = 1000,
             .lines = 40000,
             .epochs = 5,
             .keep = 0.25}};
  throw BadRequest("--effort", "unknown", name,
                   "quick, standard, thorough" + DidYouMean(name, {"quick", "standard", "thorough"}));
}

std::vector<proto::Constraint> Targets(const Request& request, int length) {
  std::vector<proto::Constraint> targets;
  for (const double speedup : request.speedup) {
    auto* multiply_adds = targets.emplace_back().mutable_multiply_adds();
    multiply_adds->set_speedup(speedup);
    multiply_adds->set_length(length);
  }
  for (const auto& text : request.max_latency)
    targets.emplace_back().mutable_latency()->set_max_ms(ParseMilliseconds("--max-latency", text));
  for (const auto& text : request.max_params)
    targets.emplace_back().mutable_parameters()->set_max(ParseCount("--max-params", text));
  return targets;
}

// Rows of the task that the teacher reads in a second, with every core: as long as the first ones are in the
// mean.
double RowsASecond(const NewStudy& study) {
  constexpr int kRows = 32, kRuns = 3, kLookedAt = 256;
  const int threads = train::Threads(proto::Deployment());
  const auto first = LoadSplit(study.entry, study.data, study.entry.train, study.teacher, kLookedAt,
                               study.length, threads, "none");
  const auto length = static_cast<int>(first.Tokens() / static_cast<int64_t>(first.size()));
  return kRows /
         (models::MeasureLatency(study.model.model, kRows, std::max(length, 1), threads, kRuns, 1).median_ms /
          1000);
}

std::string OperatorText(const Request& request, const NewStudy& study) {
  for (const auto& [flag, given] : {std::pair("--speedup", !request.speedup.empty()),
                                    {"--max-latency", !request.max_latency.empty()},
                                    {"--minutes", request.minutes > 0},
                                    {"--ready", !request.ready.empty()},
                                    {"--operators", request.operators}})
    if (given)
      throw BadRequest(flag, "is of a search over shapes", "--search operators", "--max-params, --effort");
  if (request.max_params.size() > 1)
    throw BadRequest("--max-params", "a search over operators has one", "several", "one");
  const int64_t budget = request.max_params.empty() ? study.Parameters() * 4 / 10
                                                    : ParseCount("--max-params", request.max_params[0]);
  return OperatorStudy(study, EffortOf(request.effort.empty() ? "standard" : request.effort).operators,
                       budget);
}

std::string ShapeText(const Request& request, const NewStudy& study, double* estimate) {
  if (request.minutes > 0 && !request.effort.empty())
    throw BadRequest("--effort", "is a word for minutes, which are given", request.effort, "one of the two");
  const double minutes = request.minutes > 0
                             ? request.minutes
                             : EffortOf(request.effort.empty() ? "standard" : request.effort).minutes;
  auto targets = Targets(request, study.length);
  if (targets.empty()) {
    targets.emplace_back().mutable_multiply_adds()->set_speedup(4);
    targets[0].mutable_multiply_adds()->set_length(study.length);
  }
  const auto effort = EffortWithin(study, minutes, request.operators, targets, RowsASecond(study));
  *estimate = effort.minutes;
  return ShapeStudy(study, effort, targets);
}

void Run(Request request) {
  // As people complete it: "study/".
  while (request.directory.size() > 1 && request.directory.ends_with('/')) request.directory.pop_back();
  const auto& task = FindTrainable(request.task, request.data);
  const OutputDirectory output(request.directory, request.force);
  const auto teacher = train::LoadTaskModel(request.teacher, task, request.assume_label_order);
  const auto length = LengthLike(&teacher, task, teacher.model.shape);
  SayLength(length, length.tokens);
  distill::CheckSliceable(teacher.model.shape, teacher.model);  // the study's warm-up
  if (!request.ready.empty()) models::LoadPretrained(request.ready);
  // Rows are read now, so that a wrong directory is known now.
  const NewStudy fresh{
      .directory = request.directory,
      .data = request.data,
      .task = request.task,
      .teacher = request.teacher,
      .corpus = request.corpus,
      .ready = request.ready,
      .assume_label_order = request.assume_label_order,
      .rows = request.rows,
      .found_rows =
          data::ReadRows(task, data::SplitPath(task, request.data, task.train), request.rows).size(),
      .length = length.tokens,
      .entry = task,
      .model = teacher};
  double estimate = 0;
  const std::string text =
      request.search == "operators" ? OperatorText(request, fresh) : ShapeText(request, fresh, &estimate);
  proto::Study study;
  ParseText(text, "the new study", &study);
  auto context = fresh.Context();
  context.latency =
      search::MeasuredLatency(models::LastStates(context.head), study.space());  // if a target asks for it
  search::ValidateStudy(study, context, "the new study");
  if (request.dry_run) {
    std::fputs(text.c_str(), stdout);
    return;
  }
  PendingOutput out(request.directory);
  WriteFileAtomically(out.working() + "/study.textproto", text);
  out.Commit();
  std::string wanted;
  for (const auto& target : study.target())
    wanted += (wanted.empty() ? ", targets " : ", ") + search::TargetName(target);
  for (const auto& constraint : study.constraint())
    wanted += ", up to " + Millions(constraint.parameters().max()) + " parameters";
  if (estimate > 0) wanted += ", about " + Decimal(std::max(estimate, 1.0), 0) + " min on this machine";
  std::printf(
      "%s/study.textproto: a search over %s%s (teacher %s parameters)\nnext: thimble describe %s, thimble "
      "search %s\n",
      request.directory.c_str(), request.search.c_str(), wanted.c_str(), Millions(fresh.Parameters()).c_str(),
      request.directory.c_str(), request.directory.c_str());
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("directory", request->directory, "study directory to make")->required();
  app.add_option("--task", request->task, "task name")->required();
  app.add_option("--data", request->data, "directory that holds the task's folder")->required();
  app.add_option("--teacher", request->teacher, "teacher directory, with its task head")->required();
  app.add_option(
         "--search", request->search,
         "shapes: heads, widths and depth (default); operators: feed-forward operators, coarse to fine")
      ->check(CLI::IsMember({"shapes", "operators"}));
  app.add_option("--speedup", request->speedup,
                 "so many times fewer multiply-adds than the teacher's; several: a student each, e.g. 2,4,8")
      ->delimiter(',')
      ->check(CLI::Range(1.01, 1000.0));
  app.add_option("--max-latency", request->max_latency,
                 "on this machine: batch 1, 128 tokens, 1 thread; e.g. 5ms; several likewise")
      ->delimiter(',');
  app.add_option("--max-params", request->max_params,
                 "largest student, e.g. 9M; several likewise. Without any limit: --speedup 4; of operators "
                 "40% of the teacher's parameters")
      ->delimiter(',');
  app.add_option("--rows", request->rows, "first training rows only; 0: all")->check(CLI::NonNegativeNumber);
  app.add_option("--corpus", request->corpus, "text files for distillation on plain text, e.g. 'text/*.txt'");
  app.add_option(
      "--ready", request->ready,
      "a small checkpoint that is there already: taught beside the students and compared with them");
  app.add_flag("--operators", request->operators,
               "of a search over shapes: feed-forward operators of the student found, as a last stage");
  app.add_option("--minutes", request->minutes, "of a search over shapes, on this machine; default: 30")
      ->check(CLI::Range(1.0, 1e5));
  app.add_option("--effort", request->effort, "a word for that: quick (10), standard (30) or thorough (240)");
  AddLabelOrder(app, request.get());
  AddForce(app, request.get());
  app.add_flag("--dry-run", request->dry_run, "print the study file, write nothing");
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_init

std::function<void()> init_command(CLI::App& app) { return of_init::Add(app); }

}  // namespace thimble::tools
