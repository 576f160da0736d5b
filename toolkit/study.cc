#include "toolkit/study.h"

#include <filesystem>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/parallel.h"
#include "search/controller.h"
#include "tools/options.h"
#include "tools/study/choice.h"
#include "tools/study/study_context.h"
#include "tools/study/study_file.h"
#include "tools/study/study_run.h"

namespace thimble::toolkit {
namespace {

namespace fs = std::filesystem;

State StateOf(search::TrialState state) {
  switch (state) {
    case search::TrialState::kComplete:
      return State::kComplete;
    case search::TrialState::kPruned:
      return State::kPruned;
    case search::TrialState::kFail:
      return State::kFailed;
    case search::TrialState::kLeft:
      return State::kLeft;
  }
  return State::kFailed;
}

Trial TrialOf(const search::StageResult& stage, const search::StoredTrial& stored) {
  return {.stage = stage.name,
          .number = stored.number,
          .target = stage.target,
          .state = StateOf(stored.trial.state),
          .origin = stored.trial.origin,
          .architecture = PrintText(stored.trial.architecture, /*headers=*/false),
          .score = stored.trial.value,
          .standard_error = stored.trial.standard_error,
          .parameters = stored.deployed_parameters,
          .metrics = stored.metrics,
          .reason = stored.reason,
          .seconds = stored.seconds};
}

tools::Options ToolOptions(const Options& options) {
  tools::Options of;
  of.threads = options.threads;
  of.checkpoint_seconds = options.checkpoint_seconds;
  of.cache = options.cache;
  of.set = options.set;
  of.assume_label_order = options.assume_label_order;
  return of;
}

}  // namespace

struct Study::Impl {
  Impl(const std::string& where, const Options& asked)
      : options(ToolOptions(asked)),
        handle_signals(asked.handle_signals),
        file(tools::LoadStudy(where, options)) {
    if (options.threads < 0)
      throw BadRequest("threads", "must not be below 0", std::to_string(options.threads));
  }

  proto::Deployment Deployment() const {
    if (handle_signals) InstallInterruptHandler();
    return tools::MakeDeployment(options);
  }

  const tools::Options options;
  const bool handle_signals;
  const tools::StudyFile file;
};

Study::Study(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Study::Study(const std::string& directory, const Options& options)
    : impl_(std::make_unique<Impl>(directory, options)) {}
Study::~Study() = default;
Study::Study(Study&&) noexcept = default;
Study& Study::operator=(Study&&) noexcept = default;

Study Study::Create(const std::string& directory, const std::string& text, const Options& options) {
  const std::string path = directory + "/study.textproto";
  proto::Study study;
  ParseText(text, path, &study);
  if (fs::exists(path) && ReadFile(path) != text)
    throw BadRequest(path, "another study is there already", "",
                     "a new directory, or Study(directory) to go on");
  const EnsuredDirectory made(directory);
  WriteFileAtomically(path, text);
  return Study(std::make_unique<Impl>(directory, options));
}

const std::string& Study::directory() const { return impl_->file.directory; }
std::string Study::text() const { return PrintText(impl_->file.study, /*headers=*/false); }

void Study::Check() const { tools::SearchStudy(impl_->file, impl_->Deployment(), /*dry_run=*/true); }
void Study::Run() { tools::SearchStudy(impl_->file, impl_->Deployment(), /*dry_run=*/false); }

std::vector<Trial> Study::Trials() const {
  std::vector<Trial> trials;
  if (!fs::exists(directory() + "/study.db")) return trials;
  for (const auto& stage : tools::FoundSoFar(impl_->file))
    for (const auto& trial : stage.trials) trials.push_back(TrialOf(stage, trial));
  return trials;
}

Trial Study::Best(const StudentOptions& options) const {
  const auto& file = impl_->file;
  const auto results = tools::ResultsOf(tools::FoundSoFar(file), options.target);
  tools::ChoiceLimits limits{.study = directory(), .trial = options.trial};
  if (options.max_parameters) limits.max_params = *options.max_parameters;
  if (options.max_latency_ms) limits.max_ms = *options.max_latency_ms;
  const auto chosen = tools::Choose(results, tools::StudyOf(file.study, results),
                                    tools::ContextOf(file.study, file.directory), limits);
  return TrialOf(*chosen.stage, *chosen.trial);
}

std::vector<Metric> Study::Export(const std::string& directory, const ExportOptions& options) const {
  if (options.epochs && *options.epochs < 0)
    throw BadRequest("epochs", "must not be below 0", std::to_string(*options.epochs));
  tools::ExportRequest request{.study = this->directory(),
                               .out = directory,
                               .target = options.target,
                               .trial = options.trial,
                               .epochs = options.epochs,
                               .uniform = options.uniform,
                               .int8 = options.int8,
                               .force = options.replace};
  if (options.max_parameters) request.max_params = *options.max_parameters;
  if (options.max_latency_ms) request.max_ms = *options.max_latency_ms;
  std::vector<Metric> metrics;
  for (const auto& metric : tools::ExportStudent(impl_->file, impl_->Deployment(), request))
    metrics.push_back({metric.name, metric.value, metric.standard_error});
  return metrics;
}

}  // namespace thimble::toolkit
