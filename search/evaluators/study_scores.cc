#include <cmath>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "distill/objective.h"
#include "search/evaluators/study_bench.h"
#include "train/batch.h"

namespace thimble::search {
using models::Model;

namespace {

constexpr int kEvaluationBatch = 64;

std::string ToJson(const train::Evaluation& evaluation) {
  nlohmann::json json;
  for (const auto& metric : evaluation.metrics) json[metric.name] = metric.value;
  json["loss"] = evaluation.loss;
  for (size_t i = 0; i < evaluation.losses.size(); ++i)
    json["loss/" + evaluation.loss_names[i]] = evaluation.losses[i];
  return json.dump();
}

}  // namespace

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Score Failed(const std::string& reason) { return {.value = std::nan(""), .reason = reason}; }

const std::vector<std::vector<double>>* StudyBench::AskTeacher(proto::Fitness fitness) {
  TeacherOnHoldout();
  return fitness == proto::DIVERGENCE ? &TeacherEvaluation(true).logits : nullptr;
}

const train::Evaluation& StudyBench::TeacherEvaluation(bool answers) {
  if (teacher_ && (!answers || !teacher_->logits.empty())) return *teacher_;
  train::EvaluateOptions options;
  options.batch_size = kEvaluationBatch;
  options.padded_length = train::PaddedLength(study().recipe());
  options.keep_logits = answers;
  teacher_ = train::Evaluate(data.teacher.model, data.holdout, &data.task, options);
  return *teacher_;
}

Score StudyBench::ToScore(const train::Evaluation& evaluation, proto::Fitness fitness) const {
  if (!evaluation.failure.empty()) return Failed(evaluation.failure);
  Score score;
  score.metrics = ToJson(evaluation);
  if (fitness == proto::METRIC) {
    score.value = evaluation.metrics.front().value;
    score.standard_error = evaluation.metrics.front().standard_error;
  } else if (fitness == proto::DIVERGENCE) {
    THIMBLE_CHECK(evaluation.divergence, "the teacher was not asked");
    score.value = -evaluation.divergence->mean;
    score.standard_error = evaluation.divergence->standard_error;
    for (const double each : evaluation.row_divergences) score.rows.push_back(static_cast<float>(-each));
  } else {
    score.value = -evaluation.loss;
    score.standard_error = evaluation.loss_standard_error;
  }
  return std::isfinite(score.value) ? score : Failed("the score is not finite");
}

train::Evaluation StudyBench::EvaluateOnHoldout(const Model& model,
                                                const models::ResolvedArchitecture* candidate) {
  const distill::Objective objective(study().recipe().objective(), candidate ? *candidate : model.shape,
                                     &data.teacher.model, true);
  train::EvaluateOptions options;
  options.candidate = candidate;
  options.teacher = &data.teacher.model;
  options.teacher_cache = TeacherOnHoldout();
  options.objective = &objective;
  options.bfloat16 = choices.bfloat16;
  options.batch_size = kEvaluationBatch;
  options.padded_length = train::PaddedLength(study().recipe());
  if (teacher_ && !teacher_->logits.empty()) options.teacher_logits = &teacher_->logits;
  // Not Evaluate: one candidate without a score does not end the others.
  return train::EvaluateTogether({{&model, candidate, &objective}}, data.holdout, &data.task, options)[0];
}

std::vector<Score> StudyBench::ScoreEach(const std::string& what,
                                         const std::vector<proto::Architecture>& candidates,
                                         const std::function<Score(const proto::Architecture&)>& score) {
  std::vector<Score> scores(candidates.size());
  Progress progress(what, static_cast<int64_t>(candidates.size()));
  std::mutex mutex;
  int done = 0;
  ParallelFor(candidates.size(), choices.members_threads, [&](size_t i) {
    if (InterruptRequested()) throw Interrupted();
    const train::TorchThreads threads(ThreadsOfOne());
    const auto begin = std::chrono::steady_clock::now();
    scores[i] = score(candidates[i]);
    scores[i].seconds = SecondsSince(begin);
    const std::lock_guard lock(mutex);
    progress.Update(++done);
  });
  return scores;
}

std::vector<Score> StudyBench::EvaluateEach(
    const std::string& what, const std::vector<proto::Architecture>& candidates, proto::Fitness fitness,
    const std::function<train::Evaluation(const proto::Architecture&)>& evaluate) {
  AskTeacher(fitness);
  return ScoreEach(what, candidates, [&](const proto::Architecture& architecture) {
    return ToScore(evaluate(architecture), fitness);
  });
}

std::vector<Score> StudyBench::Untrained(const std::string& what,
                                         const std::vector<proto::Architecture>& candidates,
                                         proto::Fitness fitness) {
  for (const auto& candidate : candidates)
    Supernet(candidate);  // made before the candidates run side by side
  untrained_.clear();
  std::mutex mutex;
  return EvaluateEach(what, candidates, fitness, [&](const proto::Architecture& architecture) {
    Model student = Student(architecture);
    const auto evaluation = EvaluateOnHoldout(student, nullptr);
    const std::lock_guard lock(mutex);
    untrained_.emplace(CanonicalText(architecture), std::move(student));
    return evaluation;
  });
}

std::vector<Model> StudyBench::TakeStudents(const std::vector<Candidate>& candidates) {
  std::vector<Model> students(candidates.size());
  std::vector<size_t> missing;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].ready) {
      students[i] = data.ready->model;
      students[i].weights = students[i].weights.Clone();
      continue;
    }
    auto node = untrained_.extract(CanonicalText(candidates[i].architecture));
    if (node.empty())
      missing.push_back(i);
    else
      students[i] = std::move(node.mapped());
  }
  untrained_.clear();
  if (missing.empty()) return students;
  for (const size_t i : missing)
    Supernet(candidates[i].architecture);  // made before the candidates run side by side
  ParallelFor(missing.size(), choices.members_threads, [&](size_t k) {
    if (InterruptRequested()) throw Interrupted();
    students[missing[k]] = Student(candidates[missing[k]].architecture);
  });
  return students;
}

}  // namespace thimble::search
