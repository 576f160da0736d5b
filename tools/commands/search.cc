// thimble search DIR: runs a study, or goes on with it.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "base/output_directory.h"
#include "search/evaluators/workbench.h"
#include "tools/common.h"
#include "tools/report/text.h"
#include "tools/study_context.h"

namespace thimble::tools {
namespace of_search {
namespace {

struct Request : Options {
  std::string where;
};

void Run(const Request& request) {
  const auto file = LoadStudy(request.where, request);
  const WritableDirectory writable(file.directory);
  const auto deployment = MakeDeployment(request);
  search::Workbench bench(file.study, file.directory, deployment);
  // Without latencies, which are measured and kept once it is sure that the study runs.
  auto context = bench.context();
  context.latency = nullptr;
  search::ValidateStudy(file.study, context, file.path);
  if (request.dry_run) {
    Say("all is well; `thimble describe " + request.where + "` shows what would run");
    return;
  }
  const DirectoryLock lock(file.directory, "thimble search");
  search::Store store(file.directory + "/study.db");
  UseStoredChoices(file, &store, &bench);
  KeepSummaries(file, &store, &bench);
  const auto results = search::RunStudy(file.study, bench.context(), &store, &bench, TeacherText(file, store));
  std::fputs(ResultText(results).c_str(), stdout);
  std::printf("next: thimble show %s, thimble export %s --out DIR\n", request.where.c_str(), request.where.c_str());
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("study", request->where, "study directory")->required();
  AddLabelOrder(app, request.get());
  AddDeployment(app, request.get());
  AddRecipeOptions(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_search

std::function<void()> search_command(CLI::App& app) { return of_search::Add(app); }

}  // namespace thimble::tools
