// thimble bench NAME [--rounds 10] [--serve] [--json FILE] [options of NAME]
//
//   thimble bench tokenizer --vocab vocab.txt --file 'books/*.txt'
//   ids, 1 thread      31.1 MB/s  (30.2 to 31.4)
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/output_directory.h"
#include "base/parallel.h"
#include "base/quantile.h"
#include "bench/bench.h"
#include "tools/command.h"
#include "tools/quantities.h"
#include "tools/shell/standard_output.h"
#include "tools/table.h"

namespace thimble {
namespace bench {
namespace {

struct Request {
  int rounds = 10;
  std::string json;
  bool serve = false;
};

std::string FolderOf(const std::string& file) {
  const auto folder = std::filesystem::path(file).parent_path();
  return folder.empty() ? "." : folder.string();
}

// One round for each line of standard input: a peer in another process runs in between, while both stay warm.
void Serve(const Round& round) {
  for (std::string line; std::getline(std::cin, line);) {
    auto answer = nlohmann::json::array();
    for (const auto& timing : round()) {
      answer.push_back({{"label", timing.label},
                        {"seconds", timing.seconds},
                        {"amount", timing.amount},
                        {"unit", timing.unit}});
    }
    std::printf("%s\n", answer.dump().c_str());
    tools::FlushOutput();
  }
}

void Repeat(const Round& round, const Request& request) {
  std::vector<Timing> first;
  std::vector<std::vector<double>> rates;
  for (int r = 0; r < request.rounds; ++r) {
    if (InterruptRequested()) throw Error("interrupted", kInterrupted);
    const auto timings = round();
    if (r == 0) first = timings;
    rates.resize(first.size());
    for (size_t i = 0; i < timings.size(); ++i) rates[i].push_back(timings[i].amount / timings[i].seconds);
  }
  std::vector<std::vector<std::string>> table = {
      {"what", "median", "quarter below", "quarter above", "unit"}};
  auto json = nlohmann::json::array();
  for (size_t i = 0; i < first.size(); ++i) {
    const double low = Quantile(rates[i], 0.25), median = Quantile(rates[i], 0.5),
                 high = Quantile(rates[i], 0.75);
    table.push_back({first[i].label, tools::Decimal(median, 3), tools::Decimal(low, 3),
                     tools::Decimal(high, 3), first[i].unit});
    json.push_back({{"label", first[i].label},
                    {"median", median},
                    {"quartiles", {low, high}},
                    {"rounds", request.rounds},
                    {"unit", first[i].unit}});
  }
  std::fputs(tools::Table(table).c_str(), stdout);
  if (!request.json.empty()) WriteFileAtomically(request.json, json.dump(1) + "\n");
}

// The entry's options; what it does once they are parsed.
std::function<void()> Work(const BenchEntry& entry, CLI::App& app, const std::shared_ptr<Request>& request) {
  if (entry.add_judge != nullptr)
    return [request, judge = entry.add_judge(app)] {
      const std::string figures = judge();
      if (!request->json.empty()) WriteFileAtomically(request->json, figures + "\n");
    };
  app.add_option("--rounds", request->rounds, "rounds; the median is shown")->check(CLI::PositiveNumber);
  app.add_flag("--serve", request->serve, "one round and one line of JSON for each line of standard input");
  return [request, prepare = entry.add(app)] {
    const Round round = prepare();
    request->serve ? Serve(round) : Repeat(round, *request);
  };
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  auto chosen = std::make_shared<std::function<void()>>();
  app.require_subcommand(1);
#define BENCH(id)                                                                 \
  {                                                                               \
    const auto entry = id##_bench();                                              \
    auto* bench = app.add_subcommand(entry.name, entry.summary);                  \
    bench->add_option("--json", request->json, "write the figures to this file"); \
    bench->callback([request, chosen, work = Work(entry, *bench, request)] {      \
      *chosen = [request, work] {                                                 \
        std::optional<WritableDirectory> place;                                   \
        if (!request->json.empty()) place.emplace(FolderOf(request->json));       \
        work();                                                                   \
      };                                                                          \
    });                                                                           \
  }
#include "bench/benches.inc"
#undef BENCH
  return [chosen] { (*chosen)(); };
}

}  // namespace

Scratch::Scratch() : path_((std::filesystem::temp_directory_path() / "thimble_bench_XXXXXX").string()) {
  if (mkdtemp(path_.data()) == nullptr) throw WorkFailed(path_, std::strerror(errno));
}

Scratch::~Scratch() {
  std::error_code ignored;  // what is left is the system's to clear
  std::filesystem::remove_all(path_, ignored);
}

double Time(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace bench

// Here and not in tools/commands: entries use what the commands share, so this folder stands above tools.
std::function<void()> tools::bench_command(CLI::App& app) { return bench::Add(app); }

}  // namespace thimble
