#include "search/evaluators/study_scorer.h"

#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "search/evaluators/allocated.h"
#include "search/evaluators/evaluator.h"
#include "search/evaluators/members.h"
#include "search/evaluators/study_bench.h"
#include "search/evaluators/study_summary.h"

namespace thimble::search {

struct StudyScorer::Impl {
  Impl(const proto::Study& study, const std::string& directory, const proto::Deployment& deployment)
      : bench(study, directory, deployment) {}

  // Of a kind there is one: what it has prepared serves all calls for its stage.
  Evaluator& EvaluatorOf(const proto::Stage& stage) {
    auto& evaluator = evaluators[EntryOf(stage.evaluator()).name];
    if (!evaluator) evaluator = MakeEvaluator(stage.evaluator(), bench);
    return *evaluator;
  }

  StudyBench bench;
  std::map<std::string, std::unique_ptr<Evaluator>> evaluators;
};

StudyScorer::StudyScorer(const proto::Study& study, const std::string& directory,
                         const proto::Deployment& deployment)
    : impl_(std::make_unique<Impl>(study, directory, deployment)) {}
StudyScorer::~StudyScorer() = default;

SpaceContext StudyScorer::context() const { return impl_->bench.data.Context(); }
const models::Pretrained& StudyScorer::teacher() const { return impl_->bench.data.teacher; }
const data::TaskEntry& StudyScorer::task() const { return impl_->bench.data.task; }
const data::Dataset& StudyScorer::train() const { return impl_->bench.data.train; }
const data::Dataset& StudyScorer::holdout() const { return impl_->bench.data.holdout; }
int StudyScorer::max_length() const { return impl_->bench.data.MaxLength(); }

std::string StudyScorer::TeacherSummary() {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  const bool answers = impl_->bench.study().fitness() == proto::DIVERGENCE;  // which are asked for next
  for (const auto& metric : impl_->bench.TeacherEvaluation(answers).metrics)
    json[metric.name] = {{"value", metric.value}, {"standard_error", metric.standard_error}};
  return json.dump();
}

std::string StudyScorer::DataSummary() const {
  const StudyData& data = impl_->bench.data;
  const nlohmann::ordered_json json = {{"max_length", data.MaxLength()},
                                       {"train", SummaryOf(data.train, data.task, data.MaxLength())},
                                       {"holdout", SummaryOf(data.holdout, data.task, data.MaxLength())}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Choices StudyScorer::Measure() const {
  const bool bfloat16 = train::ResolvePrecision(impl_->bench.study().recipe().precision()) == proto::BFLOAT16;
  return {.bfloat16 = bfloat16,
          .members_threads = MeasureMembers(impl_->bench, bfloat16),
          .threads = train::Threads(impl_->bench.deployment)};
}

void StudyScorer::Use(const Choices& choices) {
  impl_->bench.choices = choices;
  impl_->bench.deployment.set_threads(choices.threads);
  train::SetTorchThreads(choices.threads);
}

models::Model StudyScorer::Student(const proto::Architecture& architecture, distill::SlicedReport* report) {
  return impl_->bench.Student(architecture, report);
}

Inputs StudyScorer::Inputs() const {
  const StudyData& data = impl_->bench.data;
  search::Inputs inputs = {{"teacher.model", data.teacher.model.weights.Hash()},
                           {"data.directory", data.rows_hash}};
  if (data.start) inputs["warmup.sliced.model"] = data.start->model.weights.Hash();
  if (data.ready) inputs["ready"] = data.ready->model.weights.Hash();
  return inputs;
}

CutDamages StudyScorer::Damages(int hidden) {
  Info("what heads and neurons are worth, at width " + std::to_string(hidden));
  return ToCutDamages(impl_->bench.Start().DamagesAt(hidden));
}

std::optional<proto::Architecture> StudyScorer::Ready() {
  const auto& ready = impl_->bench.data.ready;
  return ready ? std::optional(ready->model.architecture) : std::nullopt;
}

void StudyScorer::Prepare(const proto::Stage& stage, const StageSpace& space) {
  impl_->EvaluatorOf(stage).Prepare(stage, space);
}

std::vector<double> StudyScorer::Filter(const proto::Stage& stage,
                                        const std::vector<proto::Architecture>& candidates) {
  return FilterScores(stage, candidates, impl_->bench);
}

std::vector<Score> StudyScorer::Evaluate(const proto::Stage& stage, const Round& round) {
  return impl_->EvaluatorOf(stage).Evaluate(stage, round);
}

std::vector<Score> StudyScorer::Untrained(const std::vector<proto::Architecture>& candidates) {
  return impl_->bench.Untrained("untrained scores", candidates, impl_->bench.study().fitness());
}

void StudyScorer::Distil(models::Model* student, int epochs, const std::string& checkpoint,
                         const std::string& events) {
  const std::string what = "distilling the student";
  StudyBench& bench = impl_->bench;
  const auto& wanted = bench.study().recipe();
  proto::Recipe recipe = bench.Recipe(epochs);
  if (wanted.has_keep()) recipe.set_keep(wanted.keep());
  train::Job job = bench.TrainingJob(what, recipe);
  job.score_epochs = false;  // who exports the student scores it
  job.sources[0].validate = &bench.data.holdout;
  if (recipe.keep() == proto::BEST) job.sources[0].validate_cache = bench.TeacherOnHoldout();
  job.members = {{.name = "student", .models = {student}, .seed = bench.study().seed(), .events = events}};
  job.checkpoint = checkpoint;
  const auto results = train::Train(job);
  if (!results[0].failure.empty()) throw WorkFailed(what, results[0].failure);
}

}  // namespace thimble::search
