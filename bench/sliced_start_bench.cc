// What a refit costs and gives: random candidates of a study's first stage, one after another.
//
//   build/release/sliced_start_bench STUDY [--candidates 8] [--threads 2]
//
// Seconds: crop and refit (step 7), then the untrained score on the held-out rows. R2: explained variance of
// the last layer's state on the sliced start's held-out rows.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>

#include "distill/start/sliced.h"
#include "models/arch/architecture.h"
#include "search/evaluators/workbench.h"
#include "tools/common.h"

namespace {

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace thimble;
  tools::Options options;
  std::string where;
  int candidates = 8;
  CLI::App app("Time and quality of the sliced start");
  app.add_option("study", where, "study directory")->required();
  app.add_option("--candidates", candidates);
  app.add_option("--threads", options.threads);
  app.add_option("--set", options.set);
  CLI11_PARSE(app, argc, argv);

  const auto file = tools::LoadStudy(where, options);
  search::Workbench bench(file.study, "/tmp/thimble_sliced_start_bench", tools::MakeDeployment(options));
  bench.Use(bench.Measure());
  const auto context = bench.context();
  const search::StageSpace space(file.study, file.study.stage(0),
                                 search::SeedArchitecture(file.study.space(), context), context);
  Random random = Random(file.study.seed()).Fork("bench");
  double begin = Now();
  bench.Student(search::LargestArchitecture(file.study.space(), context));
  std::printf("teacher pass, supernet, refit of the largest: %.1f s\n", Now() - begin);

  std::vector<double> seconds, r2, values;
  std::map<std::string, int> goals;
  for (int i = 0; i < candidates; ++i) {
    const auto architecture = *space.Sample(&random);
    distill::SlicedReport report;
    begin = Now();
    bench.Student(architecture, &report);
    seconds.push_back(Now() - begin);
    for (const auto& block : report.blocks) ++goals[block.goal];
    r2.push_back(report.blocks.back().after);
    begin = Now();
    const auto score = bench.Untrained({architecture})[0];
    values.push_back(score.value);
    std::printf("%2d  refit %5.2f s  refit and score %5.2f s  R2 %.3f  score %7.3f  %s\n", i, seconds.back(),
                Now() - begin, r2.back(), score.value, architecture.layer(0).ffn().expression().c_str());
    std::fflush(stdout);
  }
  auto mean = [](const std::vector<double>& x) {
    double sum = 0;
    for (double v : x) sum += v;
    return sum / static_cast<double>(x.size());
  };
  std::printf("mean: refit %.2f s, R2 %.4f, score %.4f\nblocks by the goal that won:", mean(seconds),
              mean(r2), mean(values));
  for (const auto& [goal, count] : goals) std::printf(" %s %d", goal.c_str(), count);
  std::printf("\n");
}
