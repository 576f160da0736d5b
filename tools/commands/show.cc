// thimble show DIR [--front score,parameters,multiply_adds] [--at-most parameters=9M]: the study's trials so far, its Pareto front, and
// report.html.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "tools/common.h"
#include "tools/report.h"

namespace thimble::tools {
namespace of_show {
namespace {

struct Request : Options {
  std::string where, goals;
  std::vector<std::string> limits;
};

void Run(const Request& request) {
  const auto file = LoadStudy(request.where, request);
  const std::string path = file.directory + "/study.db";
  if (!std::filesystem::exists(path))
    throw BadRequest(request.where, "nothing has run yet; start with `thimble search " + request.where + "`");
  const Front front = MakeFront(request.goals, request.limits, file);
  search::Store store(path);
  const auto results = search::ReadStudy(file.study, &store);
  std::fputs(TrialText(results).c_str(), stdout);
  std::fputs(ResultText(results, front).c_str(), stdout);
  WriteFileAtomically(file.directory + "/report.html", ReportHtml(file, results, front));
  std::printf("report: %s/report.html\n", file.directory.c_str());
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("study", request->where, "study directory")->required();
  app.add_option("--front", request->goals,
                 "two or three of score, parameters, multiply_adds (of 128 tokens), latency, bytes; default: score,parameters");
  app.add_option("--at-most", request->limits, "name the best trial within this, too: parameters=9M, latency=5ms; several");
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_show

std::function<void()> show_command(CLI::App& app) { return of_show::Add(app); }

}  // namespace thimble::tools
