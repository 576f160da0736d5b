// Random expressions, and random architectures within a study's limits that are different from all before.
#include <CLI/CLI.hpp>
#include <memory>
#include <unordered_set>

#include "base/error.h"
#include "base/log.h"
#include "bench/bench.h"
#include "models/arch/architecture.h"
#include "models/arch/expression_sampling.h"
#include "proto/space.pb.h"
#include "search/space.h"
#include "tools/options.h"
#include "tools/study/study_file.h"

namespace thimble::bench {
namespace of_sampler {
namespace {

struct Request : tools::Options {
  std::string study;
  int expressions = 50000, architectures = 5000;
};

class Bench {
 public:
  explicit Bench(const Request& request)
      : request_(request),
        file_(tools::LoadStudy(request.study, request)),
        sampler_(models::PublishedRules({{540, 540}, {540, 270}, {540, 180}, {540, 135}})) {
    const search::SpaceContext context = {.classes = 2, .teacher_hidden = file_.study.teacher().hidden()};
    space_ = std::make_unique<search::StageSpace>(
        file_.study, file_.study.stage(0), search::SeedArchitecture(file_.study.space(), context), context);
  }

  std::vector<Timing> Round() {
    const auto plain = models::Expression::Parse(proto::ExpressionSpace::default_instance().seed());
    size_t nodes = 0;
    const double draw = Time([&] {
      for (int i = 0; i < request_.expressions; ++i) nodes += sampler_.Draw(&random_).nodes().size();
    });
    const double mutate = Time([&] {
      for (int i = 0; i < request_.expressions; ++i)
        nodes += sampler_.Mutate(plain, &random_)->nodes().size();
    });
    THIMBLE_CHECK(nodes > 0, "no nodes");
    // Unique over all rounds, as in a search that never proposes a candidate twice.
    int found = 0;
    const double architectures = Time([&] {
      while (found < request_.architectures) {
        const auto candidate = space_->Sample(&random_);
        THIMBLE_CHECK(candidate && space_->Feasible(*candidate), "a candidate outside the limits");
        found += known_.insert(models::CanonicalArchitecture(*candidate)).second;
        ++drawn_;
      }
    });
    Info(std::to_string(known_.size()) + " different architectures in " + std::to_string(drawn_) + " draws");
    return {{"expressions", draw, static_cast<double>(request_.expressions), "expressions/s"},
            {"mutations", mutate, static_cast<double>(request_.expressions), "expressions/s"},
            {"architectures", architectures, static_cast<double>(request_.architectures), "architectures/s"}};
  }

 private:
  const Request request_;
  tools::StudyFile file_;
  models::ExpressionSampler sampler_;
  std::unique_ptr<search::StageSpace> space_;
  Random random_{1};
  std::unordered_set<std::string> known_;
  int64_t drawn_ = 0;
};

std::function<Round()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("study", request->study, "study file; architectures are of its first stage")->required();
  app.add_option("--expressions", request->expressions, "drawn and mutated in a round")
      ->check(CLI::PositiveNumber);
  app.add_option("--architectures", request->architectures, "different ones in a round")
      ->check(CLI::PositiveNumber);
  app.add_option("--set", request->set, "override a field of the study: path=value");
  return Prepare<Bench>(request);
}

}  // namespace
}  // namespace of_sampler

BenchEntry sampler_bench() {
  return {"sampler", "Random expressions, and unique architectures within a study's limits, on one thread",
          of_sampler::Add};
}

}  // namespace thimble::bench
