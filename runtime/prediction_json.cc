#include "runtime/prediction_json.h"

#include <nlohmann/json.hpp>

namespace thimble::runtime {
namespace {

using nlohmann::json;

json AnswerJson(const PredictionOf& of, const Prediction& prediction) {
  json out = {{"answer", prediction.answer}, {"n_best", json::array()}, {"windows", json::array()}};
  if (of.unanswerable) out["null_odds"] = prediction.null_odds;
  for (const auto& choice : prediction.choices)
    out["n_best"].push_back(
        {{"text", choice.text}, {"score", choice.score}, {"probability", choice.probability}});
  for (const auto& each : prediction.windows)
    out["windows"].push_back(
        {{"input_ids", each.ids}, {"token_type_ids", each.segments}, {"logits", each.logits}});
  return out;
}

}  // namespace

json PredictionJson(const PredictionOf& of, const Prediction& prediction) {
  if (of.kind == Kind::kSpan) return AnswerJson(of, prediction);
  const auto& window = prediction.windows[0];
  json out = {{"input_ids", window.ids}, {"token_type_ids", window.segments}};
  if (of.kind == Kind::kRegression) {
    out["score"] = prediction.score;
    return out;
  }
  out["logits"] = window.logits;
  if (of.kind == Kind::kClassification) {
    out["label"] = prediction.label_name;
    out["probabilities"] = prediction.probabilities;
    return out;
  }
  json labels = json::array();
  for (size_t i = 0; i < prediction.probabilities.size(); ++i)
    labels.push_back({{"label", of.labels[i]}, {"probability", prediction.probabilities[i]}});
  out["labels"] = labels;
  return out;
}

}  // namespace thimble::runtime
