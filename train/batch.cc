#include "train/batch.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "data/corpus.h"
#include "data/masking.h"
#include "distill/objective.h"
#include "models/padding.h"
#include "proto/recipe.pb.h"

namespace thimble::train {
namespace {

// Spans: where an answer may begin or end, and the labels.
void AddSpans(const data::Dataset& data, const std::vector<int>& rows, bool labelled, models::Batch* batch) {
  const int64_t length = batch->ids.size(1);
  batch->answer_mask = at::zeros(batch->ids.sizes(), at::kFloat);
  auto* places = batch->answer_mask.mutable_data_ptr<float>();
  for (size_t b = 0; b < rows.size(); ++b) {
    const auto& window = data.windows[rows[b]];
    float* row = places + static_cast<int64_t>(b) * length;
    row[0] = 1;
    std::fill_n(row + window.passage, window.offsets.size(), 1.0f);
  }
  if (!labelled) return;
  batch->labels = at::empty({static_cast<int64_t>(rows.size()), 2}, at::kLong);
  auto* labels = batch->labels.mutable_data_ptr<int64_t>();
  for (const int row : rows) {
    *labels++ = data.examples[row].start;
    *labels++ = data.examples[row].end;
  }
}

}  // namespace

models::TaskHead HeadOf(data::TaskKind kind) {
  return kind == data::TaskKind::kSpan ? models::TaskHead::kTokens : models::TaskHead::kPooled;
}

int PaddedLength(const proto::Recipe& recipe) {
  return distill::CountsPadding(recipe.objective()) ? recipe.batching().max_length() : 0;
}

models::Batch MakeBatch(const data::Dataset& data, const std::vector<int>& rows, int length) {
  const auto size = static_cast<int64_t>(rows.size());
  bool labelled = data.classes > 0;
  std::vector<models::TokenRow> tokens;
  for (const int row : rows) {
    const auto& example = data.examples[row];
    labelled = labelled && example.label >= 0;
    tokens.push_back({example.ids, example.segments});
  }
  models::Batch batch = models::PadRows(tokens, length);
  if (data.kind == data::TaskKind::kSpan) {
    AddSpans(data, rows, labelled, &batch);
  } else if (labelled && data.kind == data::TaskKind::kRegression) {
    batch.labels = at::empty({size}, at::kFloat);
    auto* labels = batch.labels.mutable_data_ptr<float>();
    for (int64_t b = 0; b < size; ++b) labels[b] = data.examples[rows[b]].score;
  } else if (labelled) {
    batch.labels = at::empty({size}, at::kLong);
    auto* labels = batch.labels.mutable_data_ptr<int64_t>();
    for (int64_t b = 0; b < size; ++b) labels[b] = data.examples[rows[b]].label;
  }
  return batch;
}

models::Batch MakeMaskedBatch(const data::Dataset& data, const std::vector<int>& rows,
                              const data::WordPiece& tokenizer, const proto::Masking& masking,
                              const Random& random, int length) {
  models::Batch batch = MakeBatch(data, rows, length);
  const int64_t width = batch.ids.size(1);
  batch.labels = at::full(batch.ids.sizes(), -1, at::kLong);
  auto* ids = batch.ids.mutable_data_ptr<int64_t>();
  auto* labels = batch.labels.mutable_data_ptr<int64_t>();
  for (size_t b = 0; b < rows.size(); ++b) {
    const data::Masked masked = data::Mask(data.examples[rows[b]], tokenizer, masking,
                                           random.Fork("row", static_cast<uint64_t>(rows[b])));
    std::copy(masked.ids.begin(), masked.ids.end(), ids + static_cast<int64_t>(b) * width);
    std::copy(masked.targets.begin(), masked.targets.end(), labels + static_cast<int64_t>(b) * width);
  }
  return batch;
}

std::vector<models::Batch> MakeBatches(const data::Dataset& data, int size) {
  std::vector<models::Batch> batches;
  for (const auto& rows : data::PlanEvaluation(data, size)) batches.push_back(MakeBatch(data, rows));
  return batches;
}

void CheckFits(const models::Model& model, const data::Dataset& data, const std::string& who) {
  const auto refuse = [&](const std::string& what, int64_t got, int64_t limit) {
    throw BadRequest("data for " + who, "a row has " + what + " that the model has no room for",
                     std::to_string(got), "below " + std::to_string(limit));
  };
  const models::ResolvedArchitecture& shape = model.shape;
  if (data.corpus) {  // it knows its bounds
    if (data.corpus->longest() > shape.positions)
      refuse("a position", data.corpus->longest() - 1, shape.positions);
    if (data.corpus->highest_id() >= shape.vocabulary)
      refuse("a token id", data.corpus->highest_id(), shape.vocabulary);
    if (shape.segments < 2) refuse("a segment", 1, shape.segments);
  }
  THIMBLE_CHECK(model.classes == 0 || data.classes == 0 || model.head == HeadOf(data.kind),
                "the head of " + who + " is of another kind than the task");
  for (const auto& example : data.examples) {
    THIMBLE_CHECK(!example.ids.empty() && example.ids.size() == example.segments.size(),
                  "a malformed example");
    if (static_cast<int64_t>(example.ids.size()) > shape.positions)
      refuse("a position", static_cast<int64_t>(example.ids.size()) - 1, shape.positions);
    for (const int32_t id : example.ids)
      if (id < 0 || id >= shape.vocabulary) refuse("a token id", id, shape.vocabulary);
    for (const int32_t segment : example.segments)
      if (segment < 0 || segment >= shape.segments) refuse("a segment", segment, shape.segments);
    if (model.classes > 0 && data.classes > 0 && example.label >= model.classes)
      refuse("a label", example.label, model.classes);
    THIMBLE_CHECK(std::max(example.start, example.end) < static_cast<int>(example.ids.size()),
                  "an answer outside its window");
  }
}

}  // namespace thimble::train
