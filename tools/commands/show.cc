// thimble show DIR [--json | --csv] [--front score,parameters,multiply_adds] [--at-most parameters=9M]
// [--latency]: the study's trials so far, its Pareto front, and report.html.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "tools/command.h"
#include "tools/options.h"
#include "tools/report/document.h"
#include "tools/report/page.h"
#include "tools/report/text.h"
#include "tools/study/study_context.h"
#include "tools/study/study_file.h"

namespace thimble::tools {
namespace of_show {
namespace {

struct Request : Options {
  std::string where, goals;
  std::vector<std::string> limits;
  bool json = false, csv = false, latency = false;
};

void Run(const Request& request) {
  const auto file = LoadStudy(request.where, request);
  const std::string path = file.directory + "/study.db";
  if (!std::filesystem::exists(path))
    throw BadRequest(request.where, "nothing has run yet; start with `thimble search " + request.where + "`");
  const Front front = MakeFront(request.goals, request.limits, file);
  search::Store store(path);
  const auto results = search::ReadStudy(file.study, &store);
  const auto facts = store.FindStage(file.study.stage(0).name());
  const auto fact = [&](const char* key) { return facts ? store.Fact(*facts, key).value_or("") : ""; };
  const auto document = StudyDocument({.file = file,
                                       .where = request.where,
                                       .set = request.set,
                                       .results = results,
                                       .front = front,
                                       .costs = CostsOf(file, request.latency),
                                       .teacher = fact(kTeacherFact),
                                       .rows = fact(kDataFact)});
  if (request.json || request.csv) {
    std::fputs((request.json ? DumpDocument(document, 1) + "\n" : DocumentCsv(document)).c_str(), stdout);
    return;
  }
  std::fputs((TrialText(results) + ResultText(results, front) + "\n" + DocumentText(document)).c_str(),
             stdout);
  WriteFileAtomically(file.directory + "/report.html", ReportHtml(document));
  std::printf("report: %s/report.html\n", file.directory.c_str());
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("study", request->where, "study directory")->required();
  auto* json = app.add_flag("--json", request->json,
                            "print what report.html draws as JSON (docs/formats.md), and write nothing");
  app.add_flag("--csv", request->csv, "print a row for each trial, and write nothing")->excludes(json);
  app.add_option("--front", request->goals,
                 "two or three of score, parameters, multiply_adds (of 128 tokens), latency, bytes; default: "
                 "score,parameters");
  app.add_option("--at-most", request->limits,
                 "name the best trial within this, too: parameters=9M, latency=5ms; several");
  app.add_flag("--latency", request->latency,
               "measure the latency of teacher and students here, of the study's limit or of one row of 128 "
               "tokens on one thread, and keep it");
  AddSet(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_show

std::function<void()> show_command(CLI::App& app) { return of_show::Add(app); }

}  // namespace thimble::tools
