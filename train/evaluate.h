// Scores of a model over a whole dataset.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/difference.h"
#include "data/metrics/metrics.h"
#include "data/spans.h"
#include "data/task.h"
#include "distill/objective.h"
#include "models/model.h"
#include "train/batch.h"
#include "train/divergence.h"

namespace thimble::train {

class TeacherCache;
class Workers;

struct Evaluation {
  // Why there is no score: the model says NaN or infinity of a row. Nothing else is of use then.
  std::string failure;
  std::vector<data::Metric> metrics;        // empty for unlabelled data
  std::vector<int> predicted;               // class of each row, in dataset order; empty without a head
  std::vector<double> scores;               // regression: number of each row instead
  std::vector<std::vector<double>> logits;  // of each example, as Logits has them; if they are asked for
  // Spans: the answer to each row that the dataset has windows of, and which of Dataset::rows that is.
  std::vector<data::SpanAnswer> answers;
  std::vector<int> answered;
  std::vector<std::string> loss_names;
  std::vector<double> losses;                // mean of each loss of the objective over the set
  std::vector<double> loss_standard_errors;  // of each, as loss_standard_error
  double loss = 0;                           // their weighted sum
  std::vector<double> row_losses;        // objective per evaluation batch, for the standard error of `loss`
  double loss_standard_error = 0;        // over batches, each weighted by its rows
  std::optional<Difference> divergence;  // from the teacher's answers, a row (Divergences); if they are given
  std::vector<double> row_divergences;   // of each row
};

struct EvaluateOptions {
  const models::ResolvedArchitecture* candidate = nullptr;  // view of a supernet
  const models::Model* teacher = nullptr;                   // with `objective`
  const TeacherCache* teacher_cache = nullptr;              // of the same data; saves the passes of `teacher`
  const distill::Objective* objective = nullptr;
  bool bfloat16 = false;
  int batch_size = 64;
  int padded_length = 0;  // PaddedLength of the recipe that `objective` is of
  bool keep_logits = false;
  const std::vector<std::vector<double>>* teacher_logits =
      nullptr;  // of the same rows, as in Evaluation::logits
};

// Does not change gradients or the model. Runs on the calling thread's torch threads. WorkFailed instead of
// an Evaluation with a failure.
Evaluation Evaluate(const models::Model& model, const data::Dataset& data, const data::TaskEntry* task,
                    const EvaluateOptions& options);

// One of several that are scored on the same rows.
struct Subject {
  const models::Model* model = nullptr;
  const models::ResolvedArchitecture* candidate = nullptr;
  const distill::Objective* objective = nullptr;
};

// The same for several subjects, with one teacher pass a batch for all of them; `options` gives what is not
// the subject's. The subjects share the work among `workers` (nullptr: the calling thread).
std::vector<Evaluation> EvaluateTogether(const std::vector<Subject>& subjects, const data::Dataset& data,
                                         const data::TaskEntry* task, const EvaluateOptions& options,
                                         Workers* workers = nullptr);

// Outputs of the task head, [rows][classes] in dataset order, in float32; of a head on tokens
// [rows][tokens * classes], what belongs to padding behind. WorkFailed if one is NaN or infinite.
std::vector<std::vector<double>> Logits(const models::Model& model, const data::Dataset& data,
                                        int batch_size = 32);
std::vector<double> Softmax(std::vector<double> logits);
// The softmax of the logits: class probabilities.
std::vector<std::vector<double>> Predict(const models::Model& model, const data::Dataset& data,
                                         int batch_size = 32);

}  // namespace thimble::train
