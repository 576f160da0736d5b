// One step of an update rule on the parameters of a 15.8M-parameter student: 145 tensors, fixed gradients.
// Also a memory copy of as many bytes, the measure of what this machine's memory gives.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <memory>

#include "base/config.h"
#include "base/parallel.h"
#include "bench/bench.h"
#include "optim/optimizer.h"
#include "proto/optimizer.pb.h"

namespace thimble::bench {
namespace of_optimizer {
namespace {

struct Request {
  std::vector<std::string> optimizers = {"came", "adamw"};
  std::vector<int> threads = {1};
};

// The tensors of the peers' student (hidden 540, a token table of width 128): rows, columns (0: a vector),
// how many.
struct Tensors {
  int64_t rows, columns;
  int count;
};
constexpr Tensors kStudent[] = {{30522, 128, 1}, {540, 384, 1}, {540, 0, 78}, {512, 540, 1}, {2, 540, 2},
                                {540, 540, 29},  {270, 540, 8}, {270, 0, 8},  {540, 270, 8}, {180, 540, 2},
                                {180, 0, 2},     {540, 180, 2}, {2, 0, 1},    {384, 540, 1}, {384, 0, 1}};

optim::Parameters MakeStudent() {
  at::manual_seed(0);
  optim::Parameters parameters;
  for (const Tensors& tensors : kStudent)
    for (int k = 0; k < tensors.count; ++k) {
      const std::vector<int64_t> sizes = tensors.columns > 0
                                             ? std::vector<int64_t>{tensors.rows, tensors.columns}
                                             : std::vector<int64_t>{tensors.rows};
      parameters.push_back({std::to_string(parameters.size()), (at::randn(sizes) * 0.02).requires_grad_()});
      parameters.back().value.mutable_grad() = at::randn(sizes) * 1e-3;
    }
  return parameters;
}

// Bytes that a step has to move between memory and processor if each matrix stays in the cache while it is
// worked on: gradient read, weights and state read and written.
double Bytes(const optim::Parameters& parameters, const optim::Optimizer& optimizer) {
  double elements = 0;
  for (const auto& parameter : parameters) elements += static_cast<double>(parameter.value.numel());
  return 3 * 4 * elements + 2 * static_cast<double>(optimizer.StateBytes());
}

class Bench {
 public:
  explicit Bench(const Request& request) : request_(request) {
    for (const std::string& name : request.optimizers) {
      proto::Optimizer spec;
      ParseText(name + " {learning_rate: 1e-4}", "--optimizer", &spec);
      students_.push_back(MakeStudent());
      optimizers_.push_back(optim::MakeOptimizer(spec, students_.back()));
    }
  }

  std::vector<Timing> Round() {
    std::vector<Timing> timings;
    for (const int threads : request_.threads) {
      at::set_num_threads(threads);
      const std::string suffix = threads == 1 ? ", 1 thread" : ", " + std::to_string(threads) + " threads";
      for (size_t i = 0; i < optimizers_.size(); ++i) {
        const double seconds = Time([&] { optimizers_[i]->Step(1e-3); });
        const std::string label = request_.optimizers[i] + suffix;
        timings.push_back({label, seconds, 1, "steps/s"});
        timings.push_back({label + ", traffic", seconds, Bytes(students_[i], *optimizers_[i]) / 1e9, "GB/s"});
      }
      timings.push_back({"memory copy" + suffix, Time([&] { Copy(threads); }), 2 * kCopied / 1e9, "GB/s"});
    }
    return timings;
  }

 private:
  static constexpr double kCopied = 64 << 20;  // the bytes of one array of the student's size, about

  void Copy(int threads) {
    constexpr size_t kPiece = 1 << 20;
    const auto size = static_cast<size_t>(kCopied);
    if (from_.empty()) {
      from_.assign(size, 1);
      to_.assign(size, 2);
    }
    ParallelFor(size / kPiece, threads,
                [&](size_t i) { std::memcpy(to_.data() + i * kPiece, from_.data() + i * kPiece, kPiece); });
  }

  const Request request_;
  std::vector<optim::Parameters> students_;
  std::vector<std::unique_ptr<optim::Optimizer>> optimizers_;
  std::vector<char> from_, to_;
};

std::function<Round()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("--optimizer", request->optimizers, "rules to time, e.g. came adamw");
  app.add_option("--threads", request->threads, "numbers of threads to time: 1 2")
      ->check(CLI::Range(1, 1024));
  return Prepare<Bench>(request);
}

}  // namespace
}  // namespace of_optimizer

BenchEntry optimizer_bench() {
  return {"optimizer", "Steps a second of an update rule on a 15.8M-parameter student", of_optimizer::Add};
}

}  // namespace thimble::bench
