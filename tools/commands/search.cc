// thimble search DIR: runs a study, or goes on with it.
#include <CLI/CLI.hpp>
#include <memory>

#include "base/log.h"
#include "tools/command.h"
#include "tools/options.h"
#include "tools/report/text.h"
#include "tools/study/results_json.h"
#include "tools/study/study_file.h"
#include "tools/study/study_run.h"

namespace thimble::tools {
namespace of_search {
namespace {

struct Request : Options {
  std::string where;
  bool json = false;
};

void Run(const Request& request) {
  const auto file = LoadStudy(request.where, request);
  const auto results = SearchStudy(file, MakeDeployment(request), request.dry_run);
  if (request.dry_run) {
    Info("all is well; `thimble describe " + request.where + "` shows what would run");
    return;
  }
  if (request.json) {
    std::fputs(ResultsJson(file, results).c_str(), stdout);
    return;
  }
  std::fputs(ResultText(results).c_str(), stdout);
  std::printf("next: thimble show %s, thimble export %s --out DIR\n", request.where.c_str(),
              request.where.c_str());
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("study", request->where, "study directory")->required();
  app.add_flag("--json", request->json, "print every trial in the end, as one JSON object");
  AddLabelOrder(app, request.get());
  AddDeployment(app, request.get());
  AddRecipeOptions(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_search

std::function<void()> search_command(CLI::App& app) { return of_search::Add(app); }

}  // namespace thimble::tools
