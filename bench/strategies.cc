// Regret curves of search strategies on the yardsticks of bench/yardstick: how much the best that was found
// lacks after so many queries.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "bench/bench.h"
#include "bench/judged.h"
#include "bench/yardstick/yardstick.h"
#include "search/strategy.h"
#include "tools/quantities.h"
#include "tools/shell/standard_output.h"
#include "tools/table.h"

namespace thimble::bench {
namespace of_strategies {
namespace {

const std::vector<int> kQueries = {10, 30, 60, 100, 200};

struct Request {
  std::vector<std::string> strategies, nas_bench, ranks;
  int seeds = 20, round = 4, threads = 0;
  bool functions = true;
};

using Judged = bench::Judged<proto::Strategy>;

// Needs neither a teacher nor an earlier stage.
bool StandsAlone(const search::StrategyEntry& entry) { return !entry.proposes_base && !entry.needs_damages; }

std::vector<Judged> Chosen(const Request& request) {
  const auto texts =
      request.strategies.empty() ? PlainTexts(search::Strategies(), StandsAlone) : request.strategies;
  return ReadJudged<proto::Strategy>(
      texts, "--strategy", "needs a teacher or an earlier stage", search::Strategies(), StandsAlone,
      [](const auto& strategy) -> const auto& { return search::EntryOf(strategy); });
}

std::vector<Yardstick> Yardsticks(const Request& request) {
  std::vector<Yardstick> all;
  for (const auto& path : request.nas_bench) all.push_back(NasBenchBert(path));
  for (const auto& path : request.ranks) all.push_back(Ranks(path));
  if (request.functions)
    for (auto& function : Functions()) all.push_back(std::move(function));
  return all;
}

// Whether the strategy takes a stage like that.
bool Fits(const Judged& judged, const Yardstick& yardstick) {
  proto::Stage stage = yardstick.stage;
  *stage.mutable_strategy() = judged.spec;
  const auto& entry = search::EntryOf(judged.spec);
  if (entry.lists_points && yardstick.space.Points() == 0) return false;
  if (entry.check != nullptr) entry.check(stage, "--strategy " + entry.name);
  return true;
}

// One yardstick: rows of the table; `json` gets the figures.
std::vector<std::vector<std::string>> Curves(const Yardstick& yardstick,
                                             const std::vector<Judged>& strategies, const Request& request,
                                             nlohmann::json* json) {
  std::vector<std::vector<std::string>> table = {{"strategy"}};
  for (const int queries : kQueries) table[0].push_back(std::to_string(queries));
  const int threads = request.threads > 0 ? request.threads : Cores();
  Progress progress(yardstick.name, static_cast<int64_t>(strategies.size()) * request.seeds);
  std::mutex mutex;
  int64_t done = 0;
  for (const Judged& judged : strategies) {
    if (!Fits(judged, yardstick)) {
      done += request.seeds;
      continue;
    }
    const auto count = [&] {
      const std::lock_guard lock(mutex);
      progress.Update(++done, judged.label);
    };
    const Curve curve =
        CurveOf(yardstick, judged.spec, request.seeds, kQueries, request.round, threads, count);
    auto& row = table.emplace_back(1, judged.label);
    for (size_t i = 0; i < kQueries.size(); ++i)
      row.push_back(tools::Decimal(curve.mean[i], 2) + " +- " + tools::Decimal(curve.error[i], 2));
    json->push_back({{"yardstick", yardstick.name},
                     {"unit", yardstick.unit},
                     {"strategy", judged.label},
                     {"seeds", request.seeds},
                     {"queries", kQueries},
                     {"mean", curve.mean},
                     {"standard_error", curve.error}});
  }
  return table;
}

std::string Judge(const Request& request) {
  const auto strategies = Chosen(request);
  auto json = nlohmann::json::array();
  for (const auto& yardstick : Yardsticks(request)) {
    const auto table = Curves(yardstick, strategies, request, &json);
    const std::string noise =
        yardstick.noise > 0 ? "; a query's noise: " + tools::Decimal(yardstick.noise, 2) : "";
    std::printf(
        "%s: mean regret in %s, with its standard error, over %d seeds, after so many queries%s\n%s\n",
        yardstick.name.c_str(), yardstick.unit.c_str(), request.seeds, noise.c_str(),
        tools::Table(table).c_str());
    tools::FlushOutput();
  }
  return json.dump(1);
}

std::function<std::string()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("--strategy", request->strategies,
                 "as a study has it: 'evolution { population: 20 }'; several; default: all that need no "
                 "teacher, with their defaults");
  app.add_option("--nas-bench", request->nas_bench, "architectures.jsonl of NAS-Bench-BERT");
  app.add_option("--ranks", request->ranks, "ranks.jsonl of `thimble rank`");
  app.add_flag("!--no-functions", request->functions,
               "the tables alone, not the functions with a known best point");
  app.add_option("--seeds", request->seeds, "of each curve, from 1 on")->check(CLI::PositiveNumber);
  app.add_option("--round", request->round, "proposed and observed together")->check(CLI::PositiveNumber);
  app.add_option("--threads", request->threads, "threads; 0: every core")->check(CLI::NonNegativeNumber);
  return [request] { return Judge(*request); };
}

}  // namespace
}  // namespace of_strategies

BenchEntry strategies_bench() {
  return {.name = "strategies",
          .summary = "Regret of search strategies on tables and functions with a known best point",
          .add_judge = of_strategies::Add};
}

}  // namespace thimble::bench
