// A prediction as JSON: what `thimble predict --json` prints and the Python module reads.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/runtime.h"

namespace thimble::runtime {

// What a prediction is of: Predictor's facts.
struct PredictionOf {
  Kind kind = Kind::kClassification;
  std::vector<std::string> labels;
  bool unanswerable = false;
};

// classification: {"label", "probabilities", "logits"}
// several labels: {"labels": [{"label", "probability"}], "logits"}
// a number:       {"score"}
// these with "input_ids" and "token_type_ids"
// answers:        {"answer", "n_best": [{"text", "score", "probability"}],
//                  "null_odds" where there may be none, "windows": [{"input_ids", "token_type_ids",
//                  "logits"}]}
nlohmann::json PredictionJson(const PredictionOf& of, const Prediction& prediction);

}  // namespace thimble::runtime
