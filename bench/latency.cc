// A forward pass of architectures with random weights: latency does not depend on their values.
#include <ATen/ATen.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/config.h"
#include "base/output_directory.h"
#include "bench/bench.h"
#include "models/latency.h"
#include "models/onnx/onnx.h"

namespace thimble::bench {
namespace of_latency {
namespace {

constexpr int kClasses = 2;

struct Request {
  std::vector<std::string> architectures;
  std::string onnx;
  int length = 128, batch = 1, threads = 1;
};

// So that the graph has the nodes of one that was written with a task's rows.
models::Batch AnyRow() {
  return {
      .ids = at::arange(8).unsqueeze(0), .segments = at::zeros({1, 8}, at::kLong), .mask = at::ones({1, 8})};
}

class Bench {
 public:
  explicit Bench(const Request& request) : request_(request) {
    if (!request.onnx.empty()) directory_.emplace(request.onnx);
    for (const auto& path : request.architectures) {
      proto::Architecture architecture;
      ReadText(path, &architecture);
      const std::string name = std::filesystem::path(path).stem();
      models_.emplace_back(name, models::MakeModel(architecture, kClasses, 0, Random(1)));
      if (request.onnx.empty()) continue;
      const std::string file = request.onnx + "/" + name;
      models::WriteOnnx(models_.back().second, file + ".onnx");
      models::WriteOnnx(models_.back().second, file + ".int8.onnx",
                        {.weights = models::OnnxWeights::kInt8, .typical = {AnyRow()}});
    }
  }

  std::vector<Timing> Round() const {
    std::vector<Timing> timings;
    for (const auto& [name, model] : models_) {
      const auto latency =
          models::MeasureLatency(model, request_.batch, request_.length, request_.threads, 5, 1);
      timings.push_back({name, latency.median_ms / 1e3, 1, "passes/s"});
    }
    return timings;
  }

 private:
  const Request request_;
  std::optional<WritableDirectory> directory_;  // for the files
  std::vector<std::pair<std::string, models::Model>> models_;
};

std::function<Round()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("architectures", request->architectures, "files with a message Architecture")->required();
  app.add_option("--length", request->length, "tokens of a row")->check(CLI::PositiveNumber);
  app.add_option("--batch", request->batch, "rows")->check(CLI::PositiveNumber);
  app.add_option("--threads", request->threads, "LibTorch's")->check(CLI::PositiveNumber);
  app.add_option("--onnx", request->onnx, "also write NAME.onnx and NAME.int8.onnx into this directory");
  return Prepare<Bench>(request);
}

}  // namespace
}  // namespace of_latency

BenchEntry latency_bench() {
  return {"latency", "Forward passes of architectures, LibTorch, float32", of_latency::Add};
}

}  // namespace thimble::bench
