#include "train/task_model.h"

#include <algorithm>

#include "base/log.h"
#include "data/label_order.h"
#include "train/batch.h"

namespace thimble::train {
namespace {

std::string Shown(const data::SpanOptions& options) {
  return "document_stride " + std::to_string(options.document_stride) + ", max_query " +
         std::to_string(options.max_query) + ", n_best " + std::to_string(options.n_best) + ", max_answer " +
         std::to_string(options.max_answer);
}

}  // namespace

models::Pretrained LoadTaskModel(const std::string& directory, const data::TaskEntry& task,
                                 bool assume_label_order) {
  auto loaded = models::LoadPretrained(directory);
  models::RequireHead(loaded, static_cast<int>(task.labels.size()), task.name, HeadOf(task.kind));
  TakeLabelOrder(task, assume_label_order, &loaded);
  return loaded;
}

void TakeLabelOrder(const data::TaskEntry& task, bool assume_label_order, models::Pretrained* model) {
  if (task.kind != data::TaskKind::kClassification) return;
  const auto order = data::MatchLabels(
      model->directory, {.names = model->label_names, .ids = model->label_ids}, task, assume_label_order);
  if (!order.note.empty()) Info(model->directory + ": " + order.note);
  if (!std::is_sorted(order.output.begin(), order.output.end()))
    models::ReorderHead(order.output, &model->model);
  model->label_names = task.labels;
  model->label_ids.clear();
}

data::TaskEntry WithSettings(const data::TaskEntry& task, const models::Pretrained& model) {
  data::TaskEntry own = task;
  const auto& [max_length, null_threshold, reading, model_max_length] = model.settings;
  if (null_threshold) {
    if (task.null_threshold != 0 && task.null_threshold != *null_threshold)
      Info(model.directory + ": no answer above " + std::to_string(*null_threshold) +
           ", which was tuned with the model; the task's null_threshold, " +
           std::to_string(task.null_threshold) + ", is for models that have none");
    own.null_threshold = *null_threshold;
  }
  if (!reading) return own;
  const auto trained = data::SpanOptionsOf(*reading);
  if (!task.spans_given) {
    own.spans = trained;
  } else if (task.spans != trained) {
    Info(model.directory + ": passages are read with " + Shown(task.spans) +
         ", as the task says; it was trained with " + Shown(trained));
  }
  return own;
}

models::Settings TrainedWith(const data::TaskEntry& task, int max_length,
                             const models::ResolvedArchitecture& shape) {
  models::Settings settings{.max_length = std::min(max_length, shape.positions)};
  if (task.kind != data::TaskKind::kSpan) return settings;
  auto& reading = settings.reading.emplace();
  reading.set_document_stride(task.spans.document_stride);
  reading.set_max_query(task.spans.max_query);
  reading.set_n_best(task.spans.n_best);
  reading.set_max_answer(task.spans.max_answer);
  return settings;
}

}  // namespace thimble::train
