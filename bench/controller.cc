// What the controller itself takes for a candidate: proposing, keeping apart, storing; and reading it all
// back after a stop. Scores are hashes, so that nothing else is timed.
#include <CLI/CLI.hpp>
#include <memory>

#include "base/config.h"
#include "base/error.h"
#include "base/hash.h"
#include "bench/bench.h"
#include "models/arch/architecture.h"
#include "search/controller.h"

namespace thimble::bench {
namespace of_controller {
namespace {

struct Request {
  int candidates = 10000, round = 16;
};

// Heads and inner widths of six layers, within a limit that half of the students meet.
constexpr char kStudy[] = R"(
  teacher { model: "none" hidden: 384 layers: 6 }
  data { directory: "none" task { sst2 {} } }
  space {
    hidden: 384 heads: 12 layers: 6 head_width: 32
    embedding { plain {} }
    layer { mixer { self_attention {} } heads: [12, 8, 6, 4, 2, 1, 0]
            ffn { expression {} stacks: 1 width: [1536, 1024, 768, 512, 384, 256, 128, 0] } }
  }
  constraint { parameters { max: 17000000 } }
  recipe { optimizer { adamw { learning_rate: 1e-4 } } }
  controls: false
  stage { name: "random" vary: [HEADS, WIDTH] evaluator { short_distillation {} } trials: 1 }
)";

class Hashes final : public search::Scorer {
 public:
  void Prepare(const proto::Stage&, const search::StageSpace&) override {}
  std::vector<double> Filter(const proto::Stage&, const std::vector<proto::Architecture>&) override {
    return {};
  }
  std::vector<search::Score> Evaluate(const proto::Stage&, const search::Round& round) override {
    std::vector<search::Score> scores;
    for (const auto& candidate : round.candidates)
      scores.push_back(
          {.value = static_cast<double>(Hash64(models::CanonicalArchitecture(candidate.architecture)) >> 11) *
                    0x1p-53,
           .standard_error = 0.01,
           .metrics = R"({"accuracy":0.5})"});
    return scores;
  }
};

class Bench {
 public:
  explicit Bench(const Request& request) : request_(request) {
    ParseText(kStudy, "the study", &study_);
    study_.mutable_stage(0)->set_trials(request.candidates);
    study_.mutable_stage(0)->set_round(request.round);
  }

  std::vector<Timing> Round() {
    const std::string path = scratch_.path() + "/" + std::to_string(rounds_++) + ".db";
    size_t found = 0;
    const double run = Time([&] { found = Run(study_, path); });
    THIMBLE_CHECK(found == static_cast<size_t>(request_.candidates), std::to_string(found) + " candidates");
    const double read = Time([&] { found = Run(study_, path); });
    const std::string amount = std::to_string(request_.candidates) + " candidates";
    return {{"searched, " + amount, run, static_cast<double>(request_.candidates), "candidates/s"},
            {"read back, " + amount, read, static_cast<double>(request_.candidates), "candidates/s"}};
  }

 private:
  static size_t Run(const proto::Study& study, const std::string& path) {
    search::Store store(path);
    Hashes scorer;
    return search::RunStudy(study, {.classes = 2, .teacher_hidden = 384}, &store, &scorer)[0].trials.size();
  }

  const Request request_;
  proto::Study study_;
  const Scratch scratch_;
  int rounds_ = 0;
};

std::function<Round()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("--candidates", request->candidates, "trials of the study")->check(CLI::PositiveNumber);
  app.add_option("--round", request->round, "candidates of a round, which is one transaction")
      ->check(CLI::PositiveNumber);
  return Prepare<Bench>(request);
}

}  // namespace
}  // namespace of_controller

BenchEntry controller_bench() {
  return {"controller",
          "A search by the random strategy whose scores cost nothing: the controller and its store",
          of_controller::Add};
}

}  // namespace thimble::bench
