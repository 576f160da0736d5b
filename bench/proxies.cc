// Scores without training of the models of NAS-Bench-BERT, on random weights and real text, beside what these
// models reached when somebody trained them; script/proxy-study says how well the ones rank the others.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/number_text.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "bench/bench.h"
#include "bench/judged.h"
#include "bench/yardstick/yardstick.h"
#include "data/dataset.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "models/model.h"
#include "search/evaluators/proxy.h"
#include "search/proxy.h"
#include "tools/shell/standard_output.h"
#include "tools/table.h"
#include "train/batch.h"
#include "train/threads.h"

namespace thimble::bench {
namespace of_proxies {
namespace {

constexpr int kClasses = 2;

struct Request {
  std::string table, text, vocabulary;
  std::vector<std::string> proxies;
  int rows = 40, length = 128, seed = 1, threads = 0;
  bool released = false;
};

using Judged = bench::Judged<proto::Proxy>;

// Random weights and text alone are enough for it.
bool StandsAlone(const search::ProxyEntry& entry) { return !entry.needs_sliced; }

std::vector<Judged> Chosen(const Request& request) {
  std::vector<std::string> texts = request.proxies;
  if (texts.empty()) {
    texts = PlainTexts(search::Proxies(), StandsAlone);
    texts.emplace_back("w_pca { weighted: false }");
  }
  return ReadJudged<proto::Proxy>(
      texts, "--proxy", "scores what is cut out of a teacher", search::Proxies(), StandsAlone,
      [](const auto& proxy) -> const auto& { return search::EntryOf(proxy); });
}

double ValueOf(const proto::Proxy& proxy, const models::Model& model, const models::Batch& rows) {
  const auto function = search::FunctionOf(proxy);
  return function.of_shape != nullptr ? function.of_shape(model.shape, model.classes, model.head)
                                      : search::NetworkValue(proxy, model, rows);
}

std::string Judge(const Request& request) {
  const auto proxies = Chosen(request);
  const auto table = NasBenchBertModels(request.table, request.released);
  const data::WordPiece tokenizer(request.vocabulary);
  const int threads = request.threads > 0 ? request.threads : Cores();
  const auto text = data::TokenizeText(Glob(request.text), request.rows, tokenizer, request.length, threads);
  const models::Batch rows = train::MakeBatches(text, request.rows).front();
  const Random random = Random(static_cast<uint64_t>(request.seed)).Fork("proxies");

  std::vector<std::vector<double>> values(table.size()), seconds(table.size());
  std::vector<int64_t> parameters(table.size());
  Progress progress("proxies of NAS-Bench-BERT", static_cast<int64_t>(table.size()));
  std::mutex mutex;
  int64_t done = 0;
  ParallelFor(table.size(), threads, [&](size_t i) {
    const train::TorchThreads one(1);
    // A head on tokens: no pooler that the models of the table did not have.
    const models::Model model =
        models::MakeModel(table[i].architecture, kClasses, 0, random, models::TaskHead::kTokens);
    parameters[i] = models::DeployedParameters(model.shape, model.classes, model.head);
    for (const Judged& proxy : proxies) {
      if (InterruptRequested()) throw Error("interrupted", kInterrupted);
      seconds[i].push_back(Time([&] { values[i].push_back(ValueOf(proxy.spec, model, rows)); }));
    }
    const std::lock_guard lock(mutex);
    progress.Update(++done);
  });

  std::vector<std::vector<std::string>> printed = {{"proxy", "least", "median", "most", "ms a model"}};
  nlohmann::json json = {{"models", nlohmann::json::array()}, {"proxies", nlohmann::json::array()}};
  for (size_t i = 0; i < table.size(); ++i)
    json["models"].push_back({{"id", table[i].id}, {"glue", table[i].score}, {"parameters", parameters[i]}});
  for (size_t p = 0; p < proxies.size(); ++p) {
    std::vector<double> each, time;
    for (size_t i = 0; i < table.size(); ++i) each.push_back(values[i][p]), time.push_back(seconds[i][p]);
    json["proxies"].push_back({{"proxy", proxies[p].label}, {"values", each}, {"seconds", time}});
    std::sort(each.begin(), each.end());
    std::sort(time.begin(), time.end());
    printed.push_back({proxies[p].label, FourDigits(each.front()), FourDigits(each[each.size() / 2]),
                       FourDigits(each.back()), FourDigits(1e3 * time[time.size() / 2])});
  }
  json["rows"] = rows.rows();
  json["tokens"] = text.Tokens();
  json["released"] = request.released;
  std::fputs(tools::Table(printed).c_str(), stdout);
  return json.dump(1);
}

std::function<std::string()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("--nas-bench", request->table, "architectures.jsonl of NAS-Bench-BERT")->required();
  app.add_option("--text", request->text, "text files that the models see the first lines of: 'wiki/*.txt'")
      ->required();
  app.add_option("--vocab", request->vocabulary, "vocabulary, uncased: vocab.txt")->required();
  app.add_option("--proxy", request->proxies,
                 "as a study has it: 'w_pca { share: 0.9 }'; several; default: all that need no teacher");
  app.add_option("--rows", request->rows, "lines of text")->check(CLI::Range(2, 10000));
  app.add_option("--length", request->length, "tokens of a line, at most")->check(CLI::Range(8, 512));
  app.add_option("--seed", request->seed, "of the weights")->check(CLI::NonNegativeNumber);
  app.add_flag("--released", request->released,
               "models as the notebook of the published figures builds them: all 256 and 1024 wide");
  app.add_option("--threads", request->threads, "threads; 0: every core")->check(CLI::NonNegativeNumber);
  return [request] { return Judge(*request); };
}

}  // namespace
}  // namespace of_proxies

BenchEntry proxies_bench() {
  return {.name = "proxies",
          .summary = "Scores without training of the models of NAS-Bench-BERT",
          .add_judge = of_proxies::Add};
}

}  // namespace thimble::bench
