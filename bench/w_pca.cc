// W-PCA of candidates as its authors search among: 12 layers of width 528 with inner widths of 132 to 792
// (Wang et al., ICLR 2025), random weights, rows of MNLI.
#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "base/parallel.h"
#include "bench/bench.h"
#include "data/dataset.h"
#include "data/task.h"
#include "models/model.h"
#include "search/evaluators/proxy.h"
#include "train/batch.h"
#include "train/threads.h"

namespace thimble::bench {
namespace of_w_pca {
namespace {

constexpr int kHidden = 528, kHeads = 12, kLayers = 12, kStep = 132, kWidths = 6, kLength = 128;

struct Request {
  std::string vocabulary, data;
  int rows = 200, threads = 1;
};

class Bench {
 public:
  explicit Bench(const Request& request) : threads_(request.threads) {
    const auto& task = data::FindTask("mnli", request.data);
    const auto all = data::ReadRows(task, data::SplitPath(task, request.data, task.train));
    // Of those that the authors' program holds back, the first.
    const auto first = std::min(all.size() * 9 / 10, all.size() - std::min<size_t>(all.size(), request.rows));
    const std::vector<data::Row> rows(all.begin() + static_cast<int64_t>(first),
                                      all.begin() + static_cast<int64_t>(first) +
                                          std::min<int64_t>(request.rows, static_cast<int64_t>(all.size())));
    const data::WordPiece tokenizer(request.vocabulary);
    rows_ = train::MakeBatches(data::Tokenize(rows, task, tokenizer, kLength, Cores()), request.rows).front();
    proxy_.mutable_w_pca();
  }

  std::vector<Timing> Round() {
    const train::TorchThreads threads(threads_);
    proto::Architecture candidate;
    candidate.set_hidden(kHidden);
    candidate.set_heads(kHeads);
    candidate.mutable_embedding()->mutable_trigram();
    for (int i = 0; i < kLayers; ++i) {
      auto* layer = candidate.add_layer();
      layer->mutable_mixer()->mutable_self_attention();
      layer->mutable_ffn()->set_expression("linear(gelu(linear(x,wb1)),wb2)");
      layer->mutable_ffn()->set_width(kStep * (1 + static_cast<int>(random_.Below(kWidths))));
    }
    double value = 0;
    const double seconds = Time([&] {
      const auto network = models::MakeModel(candidate, 3, 0, random_, models::TaskHead::kPooled);
      value = search::NetworkValue(proxy_, network, rows_);
    });
    THIMBLE_CHECK(value > 0, "no components");
    return {{"candidates", seconds, 1, "candidates/s"}};
  }

 private:
  const int threads_;
  models::Batch rows_;
  proto::Proxy proxy_;
  Random random_{1};
};

std::function<Round()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("--vocab", request->vocabulary, "vocabulary, uncased: vocab.txt")->required();
  app.add_option("--data", request->data, "GLUE directory, with MNLI")->required();
  app.add_option("--rows", request->rows, "of MNLI that a candidate sees")->check(CLI::Range(2, 10000));
  app.add_option("--threads", request->threads, "threads of one candidate")->check(CLI::Range(1, 1024));
  return Prepare<Bench>(request);
}

}  // namespace
}  // namespace of_w_pca

BenchEntry w_pca_bench() {
  return {.name = "w_pca", .summary = "W-PCA of candidates of its authors' sizes", .add = of_w_pca::Add};
}

}  // namespace thimble::bench
