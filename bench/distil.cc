// Distillation as a search does it: students of one architecture learn from a teacher, step by step, dropout
// and optimizer included. Random weights: time does not depend on their values.
#include <ATen/ATen.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "bench/bench.h"
#include "bench/bert_base.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "models/hub/pretrained.h"
#include "tools/options.h"
#include "tools/run/recipes.h"
#include "tools/run/splits.h"
#include "train/cohort.h"

namespace thimble::bench {
namespace of_distil {
namespace {

struct Request : tools::Options {
  std::string teacher = kBertBase, architecture, data, vocabulary, task = "mnli", recipe;
  std::vector<int> students = {1};
  int rows = 128, length = 128;
  bool cached = false;
};

class Bench {
 public:
  explicit Bench(const Request& request) : request_(request), deployment_(tools::MakeDeployment(request)) {
    const auto& task = tools::FindTrainable(request.task, request.data);
    teacher_ = request.teacher == kBertBase ? BertBase(static_cast<int>(task.labels.size()))
                                            : models::LoadPretrained(request.teacher).model;
    ReadText(request.architecture, &architecture_);
    const auto shape = models::Resolve(architecture_, request.architecture);
    recipe_ = tools::MakeRecipe(request.recipe, Published(), request);
    recipe_.mutable_batching()->set_max_length(request.length);
    recipe_.set_epochs(1);
    data_ = tools::LoadSplit(task, request.data, task.train, request.vocabulary, request.rows, request.length,
                             deployment_.threads(), "none");
    for (const auto& example : data_.examples) {
      const auto tokens = static_cast<int>(example.ids.size());
      // TaskHead::kTokens: losses on layers and training compute all of the last layer.
      constexpr auto kAll = models::TaskHead::kTokens;
      teacher_work_ += 2.0 * static_cast<double>(models::MultiplyAdds(teacher_.shape, tokens, kAll));
      // The way back multiplies twice, with the weights and with what came in.
      student_work_ += 6.0 * static_cast<double>(models::MultiplyAdds(shape, tokens, kAll));
    }
    if (request.cached) {
      cache_ = train::TeacherCache::Open(recipe_, teacher_, shape, data_, 2, scratch_.path());
      if (cache_ == nullptr)
        throw BadRequest(
            "--cached",
            "the recipe counts padding, or the teacher's outputs take more than recipe.teacher_cache_gib");
    }
    Info(std::to_string(data_.size()) + " rows, " +
         std::to_string(data_.Tokens() / static_cast<int64_t>(data_.size())) +
         " tokens each in the mean, batches of " + std::to_string(recipe_.batching().size()) + ", " +
         std::to_string(deployment_.threads()) + " threads, " + proto::Precision_Name(recipe_.precision()));
  }

  std::vector<Timing> Round() {
    std::vector<Timing> timings = {Products()};
    for (const int students : request_.students) {
      Epoch(students, nullptr, &timings);
      if (cache_ != nullptr) Epoch(students, cache_.get(), &timings);
    }
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    Info("at most " + std::to_string(usage.ru_maxrss >> 10) + " MiB");
    return timings;
  }

 private:
  // The published code: dropout 0.1, AdamW at 4e-4, the three losses with weight 1.
  static proto::Recipe Published() {
    proto::Recipe recipe = tools::DistilRecipe();
    recipe.set_dropout(0.1);
    return recipe;
  }

  void Epoch(int students, const train::TeacherCache* cache, std::vector<Timing>* timings) {
    std::vector<models::Model> models;
    for (int i = 0; i < students; ++i)
      models.push_back(models::MakeModel(architecture_, teacher_.classes, teacher_.shape.hidden,
                                         Random(static_cast<uint64_t>(i))));
    train::Job job;
    job.what = "bench";
    job.recipe = recipe_;
    job.deployment = deployment_;
    job.sources[0] = {.train = &data_, .teacher = &teacher_, .teacher_cache = cache};
    for (int i = 0; i < students; ++i)
      job.members.push_back(
          {.name = std::to_string(i), .models = {&models[i]}, .seed = static_cast<uint64_t>(i)});
    job.members_threads = std::min(students, deployment_.threads());
    const double seconds = Time([&] { train::Train(job); });
    const std::string label = (students == 1 ? "one student" : std::to_string(students) + " students") +
                              (cache != nullptr ? ", cached" : "");
    const double work = students * student_work_ + (cache != nullptr ? 0 : teacher_work_);
    timings->push_back(
        {label, seconds, static_cast<double>(students) * static_cast<double>(data_.size()), "examples/s"});
    timings->push_back({label + ", arithmetic", seconds, work / 1e9, "GFLOP/s"});
  }

  // What the machine multiplies at most, in the run's precision: a square product larger than the caches.
  Timing Products() const {
    const bool half = recipe_.precision() == proto::BFLOAT16;
    const at::NoGradGuard no_grad;
    const int64_t n = 2048;
    const at::Tensor a = at::randn({n, n}).to(half ? at::kBFloat16 : at::kFloat), b = a.clone();
    at::matmul(a, b);
    const double seconds = Time([&] { at::matmul(a, b); });
    return {"matrix product", seconds,
            2e-9 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n), "GFLOP/s"};
  }

  const Request request_;
  const proto::Deployment deployment_;
  models::Model teacher_;
  proto::Architecture architecture_;
  proto::Recipe recipe_;
  data::Dataset data_;
  double teacher_work_ = 0, student_work_ = 0;  // floating-point operations of an epoch, real tokens only
  Scratch scratch_;
  std::unique_ptr<train::TeacherCache> cache_;
};

std::function<Round()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("--teacher", request->teacher,
                 "directory of a BERT with a task head, or bert-base: that shape with random weights");
  app.add_option("--architecture", request->architecture, "of the students: text file with an Architecture")
      ->required();
  app.add_option("--data", request->data, "directory of the task's data")->required();
  app.add_option("--vocab", request->vocabulary, "vocab.txt")->required();
  app.add_option("--task", request->task, "whose training rows are read");
  app.add_option("--rows", request->rows, "the first ones, an epoch a round")->check(CLI::PositiveNumber);
  app.add_option("--length", request->length, "longest row in tokens")->check(CLI::Range(8, 512));
  app.add_option("--students", request->students, "cohorts of so many, each timed")
      ->check(CLI::PositiveNumber);
  app.add_flag("--cached", request->cached, "also with the teacher's outputs read from a file");
  app.add_option("--recipe", request->recipe, "recipe file; one epoch of it is run");
  tools::AddDeployment(app, request.get());
  app.add_option("--set", request->set, "override a field of the recipe: path=value");
  return Prepare<Bench>(request);
}

}  // namespace
}  // namespace of_distil

BenchEntry distil_bench() {
  return {"distil", "Epochs of distillation: one student, or several for one teacher pass", of_distil::Add};
}

}  // namespace thimble::bench
