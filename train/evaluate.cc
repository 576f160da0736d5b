#include "train/evaluate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "models/finite.h"
#include "train/precision.h"
#include "train/teacher_cache.h"
#include "train/threads.h"

namespace thimble::train {
namespace {

// What one subject gathers over the batches.
struct Tally {
  Evaluation evaluation;
  std::vector<double> sums, counts;         // one a loss
  std::vector<std::vector<double>> means;   // of each loss: one a batch
  std::vector<std::vector<double>> logits;  // spans: of each example
};

void KeepLogits(const at::Tensor& logits, const std::vector<int>& rows,
                std::vector<std::vector<double>>* kept) {
  const at::Tensor values = logits.to(at::kFloat).contiguous();
  const int64_t each = values.numel() / values.size(0);
  const float* from = values.const_data_ptr<float>();
  for (size_t b = 0; b < rows.size(); ++b, from += each) (*kept)[rows[b]].assign(from, from + each);
}

// The answers to the rows that `data` has windows of, and their scores where all are labelled.
void FindSpans(const data::Dataset& data, const data::TaskEntry& task, Tally* tally) {
  THIMBLE_CHECK(data.rows != nullptr, "windows without the rows they are of");
  const auto all = data::FindAnswers(data, *data.rows, task, tally->logits);
  Evaluation& evaluation = tally->evaluation;
  bool labelled = true;
  std::vector<data::SpanScore> scores;
  for (size_t w = 0; w < data.windows.size(); ++w) {
    const int row = data.windows[w].row;
    if (w > 0 && row == data.windows[w - 1].row) continue;
    evaluation.answered.push_back(row);
    evaluation.answers.push_back(all[row]);
    scores.push_back(data::ScoreRow(task, (*data.rows)[row], all[row].text));
    labelled = labelled && (*data.rows)[row].label >= 0;
  }
  if (labelled) evaluation.metrics = data::SpanMetrics(task.metrics, scores);
}

double Ratio(double sum, double count) { return count > 0 ? sum / count : 0; }

void AddLosses(const Subject& subject, const models::Outputs& outputs, const models::Outputs* teacher,
               const models::Batch& batch, Tally* tally) {
  const auto losses = subject.objective->Compute(*subject.model, outputs, teacher, batch);
  const auto weights = subject.objective->weights();
  double total = 0;
  for (size_t l = 0; l < losses.size(); ++l) {
    const double sum = losses[l].sum.item<double>();
    tally->sums[l] += sum;
    tally->counts[l] += losses[l].count;
    tally->means[l].push_back(Ratio(sum, losses[l].count));
    total += weights[l] * Ratio(sum, losses[l].count);
  }
  tally->evaluation.row_losses.push_back(total);
}

// What is wrong with the head's outputs of these rows; empty: nothing.
std::string WhyNoScore(const models::Model& model, const models::ResolvedArchitecture* candidate,
                       const data::Dataset& data, const std::vector<int>& rows, const models::Batch& batch,
                       const at::Tensor& logits) {
  const auto bad = models::FirstNonFiniteRow(logits, batch.mask);
  if (!bad) return "";
  const int example = rows[*bad];
  const int row = data.windows.empty() ? example : data.windows[example].row;
  return "row " + std::to_string(row + 1) + ": the model says NaN or infinity, beginning with " +
         models::FirstNonFinite(model, batch, candidate);
}

void AddPredictions(const at::Tensor& logits, const std::vector<int>& rows, Tally* tally) {
  if (!tally->logits.empty()) return KeepLogits(logits, rows, &tally->logits);
  Evaluation* evaluation = &tally->evaluation;
  if (!evaluation->scores.empty()) {
    const at::Tensor values = logits.squeeze(-1).to(at::kFloat).contiguous();
    for (size_t b = 0; b < rows.size(); ++b) evaluation->scores[rows[b]] = values.const_data_ptr<float>()[b];
    return;
  }
  const at::Tensor classes = logits.argmax(-1).contiguous();
  for (size_t b = 0; b < rows.size(); ++b)
    evaluation->predicted[rows[b]] = static_cast<int>(classes.const_data_ptr<int64_t>()[b]);
}

// Of a mean over batches of `rows` rows, as the ratio estimator has it; the usual s / sqrt(n) when all are
// equally large.
double StandardError(const std::vector<double>& values, const std::vector<double>& rows, double mean) {
  const auto n = static_cast<double>(values.size());
  if (n < 2) return 0;
  double all = 0, squares = 0;
  for (const double r : rows) all += r;
  for (size_t b = 0; b < values.size(); ++b) squares += std::pow(rows[b] / all * (values[b] - mean), 2);
  return std::sqrt(n / (n - 1) * squares);
}

models::Outputs TeacherPass(const models::Model& teacher, const models::Batch& batch,
                            const models::ForwardOptions& wanted, bool bfloat16) {
  const c10::InferenceMode inference;
  const Autocast autocast(bfloat16);
  return Forward(teacher, batch, ForLogits(teacher, wanted));
}

// Their mean, with its standard error.
Difference Mean(const std::vector<double>& divergences) {
  return PairedDifference(divergences, std::vector<double>(divergences.size(), 0));
}

void Finish(const Subject& subject, const data::Dataset& data, const data::TaskEntry* task,
            const EvaluateOptions& options, const std::vector<double>& batch_rows, Tally* tally) {
  Evaluation& evaluation = tally->evaluation;
  if (options.teacher_logits != nullptr) {
    evaluation.row_divergences = Divergences(*options.teacher_logits, evaluation.logits, *subject.model);
    evaluation.divergence = Mean(evaluation.row_divergences);
  }
  if (!options.keep_logits) evaluation.logits.clear();
  if (subject.objective != nullptr) {
    evaluation.loss_names = subject.objective->names();
    for (size_t l = 0; l < tally->sums.size(); ++l) {
      evaluation.losses.push_back(Ratio(tally->sums[l], tally->counts[l]));
      evaluation.loss_standard_errors.push_back(
          StandardError(tally->means[l], batch_rows, evaluation.losses[l]));
      evaluation.loss += subject.objective->weights()[l] * evaluation.losses[l];
    }
    evaluation.loss_standard_error = StandardError(evaluation.row_losses, batch_rows, evaluation.loss);
  }
  if (task != nullptr && !tally->logits.empty()) return FindSpans(data, *task, tally);
  std::vector<int> gold;
  std::vector<double> numbers;
  for (const auto& example : data.examples) {
    if (example.label < 0) continue;
    gold.push_back(example.label);
    numbers.push_back(example.score);
  }
  const bool labelled = data.classes > 0 && gold.size() == data.examples.size();
  if (task != nullptr && labelled && !evaluation.predicted.empty())
    evaluation.metrics = data::ComputeMetrics(task->metrics, evaluation.predicted, gold);
  if (task != nullptr && labelled && !evaluation.scores.empty())
    evaluation.metrics = data::ComputeMetrics(task->metrics, evaluation.scores, numbers);
}

}  // namespace

std::vector<Evaluation> EvaluateTogether(const std::vector<Subject>& subjects, const data::Dataset& data,
                                         const data::TaskEntry* task, const EvaluateOptions& options,
                                         Workers* workers) {
  THIMBLE_CHECK(!data.examples.empty(), "nothing to evaluate on");
  std::vector<Tally> tallies(subjects.size());
  models::ForwardOptions wanted;  // of the teacher
  bool use_teacher = false;
  const bool keep_logits = options.keep_logits || options.teacher_logits != nullptr;
  for (size_t i = 0; i < subjects.size(); ++i) {
    const Subject& subject = subjects[i];
    CheckFits(*subject.model, data, "the model");
    if (keep_logits) tallies[i].evaluation.logits.resize(data.examples.size());
    const bool regression = data.kind == data::TaskKind::kRegression;
    const bool spans = data.kind == data::TaskKind::kSpan;
    if (subject.model->classes > 0 && spans) {
      tallies[i].logits.resize(data.examples.size());
    } else if (subject.model->classes > 0 && regression) {
      tallies[i].evaluation.scores.resize(data.examples.size());
    } else if (subject.model->classes > 0) {
      tallies[i].evaluation.predicted.resize(data.examples.size());
    }
    if (subject.objective == nullptr) continue;
    tallies[i].sums.resize(subject.objective->names().size());
    tallies[i].counts.resize(subject.objective->names().size());
    tallies[i].means.resize(subject.objective->names().size());
    use_teacher = use_teacher || subject.objective->needs_teacher();
    subject.objective->Ask(&wanted);
  }
  const auto plan = data::PlanEvaluation(data, options.batch_size);
  const auto* cache = options.teacher_cache;
  if (use_teacher) {
    THIMBLE_CHECK(options.teacher != nullptr || cache != nullptr, "the objective needs a teacher");
    if (cache == nullptr) CheckFits(*options.teacher, data, "the teacher");
  }

  Workers here(1, 1);
  std::vector<double> batch_rows;
  for (size_t b = 0; b < plan.size(); ++b) {
    const auto& rows = plan[b];
    const models::Batch batch = MakeBatch(data, rows, options.padded_length);
    batch_rows.push_back(static_cast<double>(rows.size()));
    std::optional<models::Outputs> made;
    if (use_teacher)
      made = cache != nullptr ? cache->Get(rows)
                              : TeacherPass(*options.teacher, batch, wanted, options.bfloat16);
    const models::Outputs* teacher = made ? &*made : nullptr;
    (workers != nullptr ? *workers : here).Run(subjects.size(), [&](size_t i) {
      const c10::InferenceMode inference;  // a mode of the thread
      const Autocast autocast(options.bfloat16);
      const Subject& subject = subjects[i];
      Tally& tally = tallies[i];
      if (!tally.evaluation.failure.empty()) return;
      const bool objective = subject.objective != nullptr;
      models::ForwardOptions asked{.candidate = subject.candidate};
      if (objective) subject.objective->Ask(&asked);
      const auto outputs = Forward(*subject.model, batch, ForLogits(*subject.model, asked));
      if (outputs.logits.defined())
        tally.evaluation.failure =
            WhyNoScore(*subject.model, subject.candidate, data, rows, batch, outputs.logits);
      if (!tally.evaluation.failure.empty()) return;
      if (objective) AddLosses(subject, outputs, teacher, batch, &tally);
      if (outputs.logits.defined()) AddPredictions(outputs.logits, rows, &tally);
      if (keep_logits) KeepLogits(outputs.logits, rows, &tally.evaluation.logits);
    });
  }
  std::vector<Evaluation> evaluations;
  for (size_t i = 0; i < subjects.size(); ++i) {
    std::string failure = std::move(tallies[i].evaluation.failure);
    if (failure.empty()) {
      Finish(subjects[i], data, task, options, batch_rows, &tallies[i]);
      evaluations.push_back(std::move(tallies[i].evaluation));
    } else {
      evaluations.push_back({.failure = std::move(failure)});
    }
  }
  return evaluations;
}

Evaluation Evaluate(const models::Model& model, const data::Dataset& data, const data::TaskEntry* task,
                    const EvaluateOptions& options) {
  const Subject subject{&model, options.candidate, options.objective};
  auto evaluation = EvaluateTogether({subject}, data, task, options)[0];
  if (!evaluation.failure.empty()) throw WorkFailed("scoring", evaluation.failure);
  return evaluation;
}

std::vector<std::vector<double>> Logits(const models::Model& model, const data::Dataset& data,
                                        int batch_size) {
  THIMBLE_CHECK(model.classes > 0, "a model without a head predicts nothing");
  CheckFits(model, data, "the model");
  const c10::InferenceMode inference;
  const Autocast autocast(false);
  std::vector<std::vector<double>> result(data.examples.size());
  for (const auto& rows : data::PlanEvaluation(data, batch_size)) {
    const models::Batch batch = MakeBatch(data, rows);
    const at::Tensor logits = Forward(model, batch, ForLogits(model)).logits;
    const std::string failure = WhyNoScore(model, nullptr, data, rows, batch, logits);
    if (!failure.empty()) throw WorkFailed("scoring", failure);
    KeepLogits(logits, rows, &result);
  }
  return result;
}

std::vector<double> Softmax(std::vector<double> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (double& value : logits) total += value = std::exp(value - top);
  for (double& value : logits) value /= total;
  return logits;
}

std::vector<std::vector<double>> Predict(const models::Model& model, const data::Dataset& data,
                                         int batch_size) {
  auto result = Logits(model, data, batch_size);
  for (auto& row : result) row = Softmax(std::move(row));
  return result;
}

}  // namespace thimble::train
