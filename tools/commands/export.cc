// thimble export STUDY --out STUDENT [--max-params 9M] [--max-latency 5ms] [--trial STAGE/NUMBER] [--epochs
// 3] thimble export MODEL [--quantize int8 [--task mrpc --data glue/]]
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "base/output_directory.h"
#include "models/onnx/onnx.h"
#include "tools/command.h"
#include "tools/options.h"
#include "tools/quantities.h"
#include "tools/run/row_length.h"
#include "tools/run/splits.h"
#include "tools/run/training.h"
#include "tools/study/study_file.h"
#include "tools/study/study_run.h"

namespace thimble::tools {
namespace of_export {
namespace {

struct Request : Options {
  std::string where, out, target, max_params, max_latency, trial, quantize, task, data;
  std::optional<int> epochs;
  bool uniform = false;
};

bool Int8(const Request& request) { return request.quantize == "int8"; }

std::string Megabytes(const std::string& path) {
  return Decimal(static_cast<double>(std::filesystem::file_size(path)) / 1e6, 1) + " MB";
}

// The ONNX files of a model that is there already, beside its weights.
void ExportModel(const Request& request) {
  if (!request.out.empty())
    throw BadRequest("--out", "a model's ONNX files are written beside it", request.out, "no --out");
  if (request.task.empty() != request.data.empty())
    throw BadRequest("export", "--task and --data go together");
  if (!request.task.empty() && !Int8(request)) throw BadRequest("--task", "is for --quantize");
  const auto deployment = MakeDeployment(request);
  const auto loaded = models::LoadPretrained(request.where);
  const std::string file = request.where + "/model.onnx", int8 = request.where + "/model.int8.onnx";
  const std::string& asked = Int8(request) ? int8 : file;
  if (std::filesystem::exists(asked) && !request.force)
    throw BadRequest(asked, "is there already; --force replaces it");
  const WritableDirectory writable(request.where);
  std::vector<models::Batch> typical;
  // The graph keeps the order of the outputs that config.json beside it names; rows are looked at, not
  // labels.
  if (!request.task.empty()) {
    const auto& task = FindTrainable(request.task, request.data);
    typical = TypicalRows(task, request.data, request.where,
                          LengthLike(&loaded, task, loaded.model.shape).tokens, deployment.cache());
  }
  if (request.dry_run) {
    Info("would write " + asked);
    return;
  }
  if (Int8(request) && typical.empty())
    Info(
        "with --task and --data the eight bits are fitted to the task's rows, which keeps more of the "
        "model's answers");
  if (!Int8(request) || !std::filesystem::exists(file)) models::WriteOnnx(loaded.model, file);
  if (Int8(request)) WriteInt8(loaded.model, std::move(typical), request.where);
  for (const std::string& path : {file, int8})
    if (std::filesystem::exists(path)) NoteWrittenFile(request.where, std::filesystem::path(path).filename());
  Info("written: " + file + ", " + Megabytes(file) +
       (Int8(request) ? "; " + int8 + ", " + Megabytes(int8) : ""));
}

void ExportStudy(const Request& request) {
  if (!std::filesystem::exists(request.where))
    throw BadRequest(request.where, "there is neither a study nor a model", "",
                     "a directory made by `thimble init`, or a model's");
  if (!request.task.empty() || !request.data.empty())
    throw BadRequest("--task", "a study's student is fitted to the study's rows", request.task,
                     "no --task, no --data");
  if (request.out.empty()) throw BadRequest("--out", "a study's student needs a directory to be written to");
  ExportRequest student{.study = request.where,
                        .out = request.out,
                        .target = request.target,
                        .trial = request.trial,
                        .epochs = request.epochs,
                        .uniform = request.uniform,
                        .int8 = Int8(request),
                        .force = request.force,
                        .dry_run = request.dry_run};
  if (!request.max_params.empty()) student.max_params = ParseCount("--max-params", request.max_params);
  if (!request.max_latency.empty()) student.max_ms = ParseMilliseconds("--max-latency", request.max_latency);
  const auto file = LoadStudy(request.where, request);
  const auto metrics = ExportStudent(file, MakeDeployment(request), student);
  if (!request.dry_run) PrintWritten(metrics, request.out);
}

void Run(const Request& request) {
  // An exported student keeps its study.textproto; its weights tell.
  std::filesystem::exists(request.where + "/config.json") ? ExportModel(request) : ExportStudy(request);
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("directory", request->where, "study, or a model to write as ONNX")->required();
  app.add_option("--out", request->out, "directory to write a study's student to");
  app.add_option("--quantize", request->quantize,
                 "int8: model.int8.onnx too, weights in eight bits, activations as the graph runs")
      ->check(CLI::IsMember({"int8"}));
  app.add_option("--task", request->task, "of a model: eight bits fitted to this task's first training rows");
  app.add_option("--data", request->data, "data directory of --task");
  app.add_option("--target", request->target,
                 "of a study with several targets: 4x, 8ms, 9M, as `thimble show` names them");
  app.add_option("--max-params", request->max_params, "deployed parameters, e.g. 9M");
  app.add_option("--max-latency", request->max_latency,
                 "measured here: batch 1, 128 tokens, 1 thread; e.g. 5ms");
  app.add_option("--trial", request->trial, "STAGE/NUMBER instead of the best one");
  app.add_option("--epochs", request->epochs,
                 "epochs of distillation before writing; default: the recipe's; 0: as it starts")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--uniform", request->uniform,
               "instead a student made by hand of the same size: the seed expression, equal layers");
  AddLabelOrder(app, request.get());
  AddDeployment(app, request.get());
  AddForce(app, request.get());
  AddRecipeOptions(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_export

std::function<void()> export_command(CLI::App& app) { return of_export::Add(app); }

}  // namespace thimble::tools
