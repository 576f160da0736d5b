// A routed feed-forward block that computes of each token its expert alone, against one that computes all
// experts for every token and chooses afterwards, and against the dense block of one expert's size.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/config.h"
#include "base/error.h"
#include "bench/bench.h"
#include "models/encoder/encoder.h"
#include "models/encoder/experts.h"
#include "models/model.h"
#include "models/torch/dispatch.h"
#include "models/torch/torch_ops.h"

namespace thimble::bench {
namespace of_experts {
namespace {

struct Request {
  int hidden = 192, width = 768, experts = 4, batch = 32, length = 128, threads = 1, passes = 10;
};

models::Model Made(const Request& request, const std::string& experts) {
  proto::Architecture architecture;
  ParseText("vocabulary: 10 positions: 512 hidden: " + std::to_string(request.hidden) +
                " heads: 1 embedding { plain {} } layer { mixer { none {} } ffn { expression: "
                "'linear(gelu(linear(x,wb1)),wb2)' width: " +
                std::to_string(request.width) + " " + experts + " } }",
            "bench experts", &architecture);
  return models::MakeModel(architecture, 0, 0, Random(1));
}

class Bench {
 public:
  explicit Bench(const Request& request)
      : request_(request),
        dense_(Made(request, "")),
        routed_(Made(request, "routed { count: " + std::to_string(request.experts) + " }")),
        x_(at::empty({request.batch, request.length, request.hidden})) {
    Random random(2);
    for (int64_t i = 0; i < x_.numel(); ++i)
      x_.mutable_data_ptr<float>()[i] = static_cast<float>(random.Normal());
    const at::NoGradGuard no_grad;
    const double off = (Dispatched() - AllExperts()).abs().max().item<double>();
    THIMBLE_CHECK(off < 1e-4, "the two ways to compute a routed block differ");
  }

  std::vector<Timing> Round() const {
    const at::NoGradGuard no_grad;
    at::set_num_threads(request_.threads);
    const double tokens = static_cast<double>(request_.passes) * request_.batch * request_.length;
    const auto timed = [&](const std::string& label, const auto& pass) {
      const double seconds = Time([&] {
        for (int i = 0; i < request_.passes; ++i) pass();
      });
      return Timing{label, seconds, tokens, "tokens/s"};
    };
    return {timed("dispatch", [&] { Dispatched(); }), timed("all experts", [&] { AllExperts(); }),
            timed("one dense block", [&] { Block(dense_); })};
  }

 private:
  at::Tensor Block(const models::Model& model) const {
    return models::FeedForwardValue(model, 0, 0, model.shape.layers[0], x_);
  }
  at::Tensor Dispatched() const { return Block(routed_); }
  at::Tensor AllExperts() const {
    const models::Batch batch;
    const models::ForwardOptions options;
    models::TorchOps ops(routed_, batch, options);
    const models::Ops::Scope scope(ops, "layer.0.ffn.0");
    const at::Tensor shares = at::softmax(models::Linear(routed_, "layer.0.ffn.0.router", x_), -1);
    const auto [share, choice] = shares.max(-1, /*keepdim=*/true);
    at::Tensor sum = at::zeros_like(x_);
    for (int e = 0; e < request_.experts; ++e) {
      const auto value =
          models::RunExpert(routed_.shape.layers[0], e, request_.hidden, models::TorchOps::Of(x_), ops);
      sum.add_(models::TorchOps::In(value) * (choice == e));
    }
    return sum * share * request_.experts;
  }

  const Request request_;
  const models::Model dense_, routed_;
  at::Tensor x_;
};

std::function<Round()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("--hidden", request->hidden, "width of the states")->check(CLI::PositiveNumber);
  app.add_option("--width", request->width, "inner width of an expert")->check(CLI::PositiveNumber);
  app.add_option("--experts", request->experts, "of the routed block")->check(CLI::Range(2, 64));
  app.add_option("--length", request->length, "tokens of a row")->check(CLI::PositiveNumber);
  app.add_option("--batch", request->batch, "rows")->check(CLI::PositiveNumber);
  app.add_option("--threads", request->threads, "LibTorch's")->check(CLI::PositiveNumber);
  app.add_option("--passes", request->passes, "of each in a round")->check(CLI::PositiveNumber);
  return Prepare<Bench>(request);
}

}  // namespace
}  // namespace of_experts

BenchEntry experts_bench() {
  return {"experts", "Routed experts: each token's alone, against all of them, and one dense block",
          of_experts::Add};
}

}  // namespace thimble::bench
