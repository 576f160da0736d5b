// What a refit costs and gives: random candidates of a study's first stage, with the study's teacher and
// data; or with a given teacher on random tokens, where only time and memory are of interest.
#include <ATen/ATen.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <ctime>
#include <map>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "bench/bench.h"
#include "bench/bert_base.h"
#include "distill/start/sliced.h"
#include "models/hub/pretrained.h"
#include "search/evaluators/study_scorer.h"
#include "tools/options.h"
#include "tools/quantities.h"
#include "tools/study/study_file.h"

namespace thimble::bench {
namespace of_sliced_start {
namespace {

struct Request : tools::Options {
  std::string study, teacher;
  int candidates = 8, rows = 1000, hidden = 192;
};

double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// What the two kinds of bench say about a round of refits.
class Tally {
 public:
  void Add(const distill::SlicedReport& report) {
    ++candidates_;
    r2_ += report.blocks.back().after;
    for (const auto& block : report.blocks) ++goals_[block.goal];
  }
  void Tell(double seconds, double cpu, const std::string& more) const {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    std::string won;
    for (const auto& [goal, blocks] : goals_) won += " " + goal + " " + std::to_string(blocks);
    Info("a candidate: " + tools::Decimal(seconds / candidates_, 2) + " s, " +
         tools::Decimal(cpu / candidates_, 2) + " s of a core; mean R2 " +
         tools::Decimal(r2_ / candidates_, 4) + more + "; blocks by the goal that won:" + won + "; at most " +
         std::to_string(usage.ru_maxrss >> 10) + " MiB");
  }

 private:
  double candidates_ = 0, r2_ = 0;
  std::map<std::string, int> goals_;
};

std::vector<proto::Architecture> Sample(const proto::Study& study, const search::SpaceContext& context,
                                        int count) {
  const search::StageSpace space(study, study.stage(0), search::SeedArchitecture(study.space(), context),
                                 context);
  Random random = Random(study.seed()).Fork("bench");
  std::vector<proto::Architecture> candidates;
  for (int i = 0; i < count; ++i) candidates.push_back(*space.Sample(&random));
  return candidates;
}

class Bench {
 public:
  explicit Bench(const Request& request)
      : file_(tools::LoadStudy(request.study, request)),
        scorer_(file_.study, scratch_.path(), tools::MakeDeployment(request)) {
    scorer_.Use(scorer_.Measure());
    candidates_ = Sample(file_.study, scorer_.context(), request.candidates);
    scorer_.Student(candidates_.front());  // the teacher's pass and the supernet
    scorer_.Untrained({candidates_.front()});
  }

  // Refits one after another, then refits and scores side by side as a search does. R2: of the last layer's
  // state on the sliced start's held-out rows.
  std::vector<Timing> Round() {
    double score = 0;
    Tally tally;
    const double cpu = CpuSeconds();
    const double refit = Time([&] {
      for (const auto& candidate : candidates_) {
        distill::SlicedReport report;
        scorer_.Student(candidate, &report);
        tally.Add(report);
      }
    });
    const double refit_cpu = CpuSeconds() - cpu;
    const double scored = Time([&] {
      for (const auto& each : scorer_.Untrained(candidates_)) score += each.value;
    });
    const auto count = static_cast<double>(candidates_.size());
    tally.Tell(refit, refit_cpu, ", mean untrained score " + tools::Decimal(score / count, 4));
    return {{"refit", refit, count, "candidates/s"}, {"refit and score", scored, count, "candidates/s"}};
  }

 private:
  tools::StudyFile file_;
  Scratch scratch_;
  search::StudyScorer scorer_;
  std::vector<proto::Architecture> candidates_;
};

// Rows of 20 to 86 random tokens, 53 in the mean, as MRPC's.
std::vector<models::Batch> RandomRows(const models::ResolvedArchitecture& shape, int rows,
                                      const std::string& name) {
  Random random = Random(1).Fork(name);
  std::vector<models::Batch> batches;
  for (int first = 0; first < rows; first += 32) {
    const int count = std::min(32, rows - first), length = 86;
    models::Batch batch{at::zeros({count, length}, at::kLong),
                        at::zeros({count, length}, at::kLong),
                        at::zeros({count, length}),
                        {}};
    for (int row = 0; row < count; ++row) {
      const auto tokens = static_cast<int64_t>(20 + random.Below(67));
      for (int64_t i = 0; i < tokens; ++i) {
        batch.ids[row][i] = static_cast<int64_t>(random.Below(shape.vocabulary));
        batch.mask[row][i] = 1;
      }
    }
    batches.push_back(batch);
  }
  return batches;
}

class TeacherBench {
 public:
  explicit TeacherBench(const Request& request) {
    tools::MakeDeployment(request);
    const auto teacher =
        request.teacher == kBertBase ? BertBase(2) : models::LoadPretrained(request.teacher).model;
    const int held = request.rows / 6;
    const double cpu = CpuSeconds();
    const double pass = Time([&] {
      start_ = std::make_unique<distill::SlicedStart>(
          teacher, RandomRows(teacher.shape, request.rows - held, "fit"),
          RandomRows(teacher.shape, held, "held out"), proto::Sliced());
    });
    const double pass_cpu = CpuSeconds() - cpu;
    proto::Architecture largest;
    if (request.study.empty()) {
      largest = Uniform(teacher, request.hidden);
      candidates_ = {largest};
    } else {
      const auto file = tools::LoadStudy(request.study, request);
      const search::SpaceContext context = {.classes = teacher.classes,
                                            .teacher_hidden = teacher.shape.hidden};
      candidates_ = Sample(file.study, context, request.candidates);
      largest = search::LargestArchitecture(file.study.space(), context);
    }
    const double supernet = Time([&] { supernet_ = start_->MakeSupernet(largest, 1); });
    Info("teacher pass: " + tools::Decimal(pass, 2) + " s, " + tools::Decimal(pass_cpu, 2) +
         " s of a core; supernet: " + tools::Decimal(supernet, 2) + " s");
  }

  std::vector<Timing> Round() {
    Tally tally;
    const double cpu = CpuSeconds();
    const double seconds = Time([&] {
      for (const auto& candidate : candidates_) {
        distill::SlicedReport report;
        start_->MakeCandidate(supernet_, candidate, &report);
        tally.Add(report);
      }
    });
    tally.Tell(seconds, CpuSeconds() - cpu, "");
    return {{"refit", seconds, static_cast<double>(candidates_.size()), "candidates/s"}};
  }

 private:
  static proto::Architecture Uniform(const models::Model& teacher, int hidden) {
    proto::Architecture architecture = teacher.architecture;
    architecture.set_hidden(hidden);
    architecture.set_ffn_hidden(4 * hidden);
    architecture.set_pooler(teacher.shape.pooler);
    architecture.mutable_embedding()->mutable_trigram()->set_width(std::min(128, hidden));
    while (architecture.layer_size() > 6) architecture.mutable_layer()->RemoveLast();
    return architecture;
  }

  std::unique_ptr<distill::SlicedStart> start_;
  models::Model supernet_;
  std::vector<proto::Architecture> candidates_;
};

std::function<Round()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("study", request->study, "study directory or file; optional with --teacher");
  app.add_option("--candidates", request->candidates, "random candidates of its first stage")
      ->check(CLI::PositiveNumber);
  app.add_option("--teacher", request->teacher,
                 "directory of a BERT, or bert-base: that shape with random weights; sees random tokens, not "
                 "the study's data");
  app.add_option("--rows", request->rows, "of random tokens")->check(CLI::Range(12, 100000));
  app.add_option("--hidden", request->hidden,
                 "without a study: width of the one student, of six layers with blocks of four "
                 "times the width")
      ->check(CLI::PositiveNumber);
  tools::AddDeployment(app, request.get());
  app.add_option("--set", request->set, "override a field of the study: path=value");
  return [request]() -> Round {
    if (request->study.empty() && request->teacher.empty())
      throw BadRequest("bench sliced_start", "nothing to cut", "", "a study, or --teacher DIR");
    return request->teacher.empty() ? Prepare<Bench>(request)() : Prepare<TeacherBench>(request)();
  };
}

}  // namespace
}  // namespace of_sliced_start

BenchEntry sliced_start_bench() {
  return {"sliced_start", "Refit and untrained score of random candidates", of_sliced_start::Add};
}

}  // namespace thimble::bench
