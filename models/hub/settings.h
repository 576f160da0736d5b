// What a model's answers depend on beside its weights: how it was read while it was trained. Free of
// LibTorch.
#pragma once
#include <optional>
#include <string>

#include "proto/task.pb.h"

namespace thimble::models {

class HubConfig;

struct Settings {
  // config.json, written by what trains a model; names as in the arguments of run_glue.py and run_squad.py.
  std::optional<int> max_length;         // max_seq_length: tokens of a row or window
  std::optional<double> null_threshold;  // of a span head: "no answer" where its score is more above the best
  std::optional<proto::SpanReading> reading;  // doc_stride, max_query_length, n_best_size, max_answer_length
  // tokenizer_config.json, for models of others.
  std::optional<int> model_max_length;  // tokens that a text is cut to
};

// Those of a directory. Error (exit 2) for a value in config.json that cannot be. A model_max_length that is
// no sane number, as transformers writes where there is no limit, is none.
Settings ReadSettings(const HubConfig& config, const std::string& directory);

}  // namespace thimble::models
