// What a refit costs and gives: random candidates of a study's first stage.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>
#include <memory>

#include "base/log.h"
#include "bench/bench.h"
#include "distill/start/sliced.h"
#include "search/evaluators/workbench.h"
#include "tools/common.h"

namespace thimble::bench {
namespace {

struct Request : tools::Options {
  std::string study;
  int candidates = 8;
};

class Bench {
 public:
  explicit Bench(const Request& request)
      : file_(tools::LoadStudy(request.study, request)),
        directory_((std::filesystem::temp_directory_path() / "thimble_bench_sliced_start").string()),
        workbench_(file_.study, directory_, tools::MakeDeployment(request)) {
    workbench_.Use(workbench_.Measure());
    const auto context = workbench_.context();
    const search::StageSpace space(file_.study, file_.study.stage(0),
                                   search::SeedArchitecture(file_.study.space(), context), context);
    Random random = Random(file_.study.seed()).Fork("bench");
    for (int i = 0; i < request.candidates; ++i) candidates_.push_back(*space.Sample(&random));
    workbench_.Student(candidates_.front());  // the teacher's pass and the supernet
    workbench_.Untrained({candidates_.front()});
  }
  ~Bench() { std::filesystem::remove_all(directory_); }

  // Refits one after another, then refits and scores side by side as a search does. R2: of the last layer's
  // state on the sliced start's held-out rows.
  std::vector<Timing> Round() {
    double r2 = 0, score = 0;
    std::map<std::string, int> goals;
    const double refit = Time([&] {
      for (const auto& candidate : candidates_) {
        distill::SlicedReport report;
        workbench_.Student(candidate, &report);
        r2 += report.blocks.back().after;
        for (const auto& block : report.blocks) ++goals[block.goal];
      }
    });
    const double scored = Time([&] {
      for (const auto& each : workbench_.Untrained(candidates_)) score += each.value;
    });
    const auto count = static_cast<double>(candidates_.size());
    std::string won;
    for (const auto& [goal, blocks] : goals) won += " " + goal + " " + std::to_string(blocks);
    Say("mean R2 " + tools::Decimal(r2 / count, 4) + ", mean untrained score " +
        tools::Decimal(score / count, 4) + "; blocks by the goal that won:" + won);
    return {{"refit", refit, count, "candidates/s"}, {"refit and score", scored, count, "candidates/s"}};
  }

 private:
  tools::StudyFile file_;
  std::string directory_;
  search::Workbench workbench_;
  std::vector<proto::Architecture> candidates_;
};

std::function<Round()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("study", request->study, "study directory")->required();
  app.add_option("--candidates", request->candidates, "random candidates of its first stage")
      ->check(CLI::PositiveNumber);
  tools::AddDeployment(app, request.get());
  app.add_option("--set", request->set, "override a field of the study: path=value");
  return Prepare<Bench>(request);
}

}  // namespace

BenchEntry sliced_start_bench() {
  return {"sliced_start", "Refit and untrained score of random candidates of a study", Add};
}

}  // namespace thimble::bench
