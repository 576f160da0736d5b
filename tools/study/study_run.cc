#include "tools/study/study_run.h"

#include <filesystem>

#include "base/directory_lock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/output_directory.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "models/onnx/onnx.h"
#include "proto/deployment.pb.h"
#include "proto/study.pb.h"
#include "search/evaluators/study_scorer.h"
#include "tools/quantities.h"
#include "tools/run/export.h"
#include "tools/run/sliced_report.h"
#include "tools/run/splits.h"
#include "tools/run/training_output.h"
#include "tools/study/choice.h"
#include "tools/study/study_context.h"
#include "train/batch.h"
#include "train/task_model.h"

namespace thimble::tools {
namespace {

std::string StoreOf(const StudyFile& file, const std::string& study) {
  std::string path = file.directory + "/study.db";
  if (!std::filesystem::exists(path))
    throw BadRequest(study, "nothing has run yet; start with `thimble search " + study + "`");
  return path;
}

// What is exported, and what to call it.
struct Student {
  proto::Architecture architecture;
  std::string which;
};
Student StudentOf(const Choice& chosen, const std::vector<search::StageResult>& results,
                  const proto::Study& study, const search::SpaceContext& context, bool uniform) {
  const std::string which = "trial " + chosen.stage->name + "/" + std::to_string(chosen.trial->number);
  if (!uniform) return {chosen.trial->trial.architecture, which};
  if (const auto* control = UniformControl(results))
    return {control->trial.architecture, "the best uniform student beside " + which};
  return {UniformLike(study, context, *chosen.trial), "a uniform student of the size of " + which};
}

}  // namespace

std::vector<models::Batch> TypicalRows(const data::TaskEntry& task, const std::string& data,
                                       const std::string& model, int length, const std::string& cache) {
  constexpr int kRows = 64;
  return train::MakeBatches(LoadSplit(task, data, task.train, model, kRows, length, 1, cache), 1);
}

void WriteInt8(const models::Model& model, std::vector<models::Batch> typical, const std::string& directory) {
  models::WriteOnnx(model, directory + "/model.int8.onnx",
                    {.weights = models::OnnxWeights::kInt8, .typical = std::move(typical)});
}

std::vector<search::StageResult> SearchStudy(const StudyFile& file, const proto::Deployment& deployment,
                                             bool dry_run) {
  const WritableDirectory writable(file.directory);
  search::StudyScorer bench(file.study, file.directory, deployment);
  // Without latencies, which are measured and kept once it is sure that the study runs.
  auto context = bench.context();
  context.latency = nullptr;
  search::ValidateStudy(file.study, context, file.path);
  if (dry_run) return {};
  const DirectoryLock lock(file.directory, "thimble search");
  search::Store store(file.directory + "/study.db");
  UseStoredChoices(file, &store, &bench);
  KeepSummaries(file, &store, &bench);
  return search::RunStudy(file.study, bench.context(), &store, &bench, TeacherText(file, store));
}

std::vector<search::StageResult> FoundSoFar(const StudyFile& file) {
  search::Store store(StoreOf(file, file.directory));
  return search::ReadStudy(file.study, &store);
}

std::vector<data::Metric> ExportStudent(const StudyFile& file, const proto::Deployment& deployment,
                                        const ExportRequest& request) {
  const OutputDirectory output(request.out, request.force);
  search::Store store(StoreOf(file, request.study));
  const auto results = ResultsOf(search::ReadStudy(file.study, &store), request.target);
  const auto of_target = StudyOf(file.study, results);
  const auto context = ContextOf(file.study, file.directory);
  const Choice chosen = Choose(results, of_target, context,
                               {.study = request.study,
                                .trial = request.trial,
                                .max_params = request.max_params,
                                .max_ms = request.max_ms});
  const Student found = StudentOf(chosen, results, of_target, context, request.uniform);
  const auto& [architecture, which] = found;
  if (request.dry_run) {
    Info("would export " + which);
    return {};
  }
  const auto& study = file.study;
  search::StudyScorer bench(study, file.directory, deployment);
  search::CheckStoredInputs(chosen.stage->name, bench.Inputs(), store);
  UseStoredChoices(file, &store, &bench);
  const int epochs = request.epochs.value_or(study.recipe().epochs());
  const auto shape = models::Resolve(architecture);
  Info("exporting " + which + ", " +
       Millions(models::DeployedParameters(shape, context.classes, context.head)) + " parameters");
  SlicedRecord record;
  auto student = bench.Student(architecture, &record.report);
  const TrainingOutput out(request.out);
  if (epochs > 0) bench.Distil(&student, epochs, out.checkpoint(), out.events());
  const auto dev =
      LoadSplit(bench.task(), study.data().directory(), bench.task().dev, study.teacher().model(), 0,
                bench.max_length(), deployment.threads(), deployment.cache());
  const DevScore score = ScoreOnDev(student, dev, bench.task());
  auto settings = train::TrainedWith(bench.task(), bench.max_length(), student.shape);
  settings.null_threshold = score.null_threshold;
  record.options = study.warmup().sliced();
  out.Write([&](const std::string& working) {
    WriteExport(student, bench.task().labels, study.teacher().model(),
                {.teacher = study.teacher().model(),
                 .task = bench.task().name,
                 .how = "Exported: " + found.which + ", of the study in " + file.directory +
                        ", distilled for " + std::to_string(epochs) + " epochs with the study's recipe.",
                 .metrics = score.evaluation.metrics,
                 .settings = settings},
                working);
    if (request.int8)
      WriteInt8(student,
                TypicalRows(bench.task(), study.data().directory(), study.teacher().model(),
                            *settings.max_length, deployment.cache()),
                working);
    WriteFileAtomically(working + "/study.textproto", ReadFile(file.path));
    WriteSlicedRecord(record, working);
  });
  return score.evaluation.metrics;
}

}  // namespace thimble::tools
