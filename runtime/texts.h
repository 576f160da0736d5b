// What stands between texts and a model's numbers, whatever computes these: reads inputs as the model was
// trained to, and says what its outputs mean. Free of LibTorch.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"
#include "data/task.h"
#include "data/text/wordpiece.h"
#include "models/arch/head.h"
#include "models/hub/settings.h"
#include "runtime/runtime.h"

namespace thimble::runtime {

// A model without its weights.
struct ModelFacts {
  std::string directory;
  int classes = 0;  // numbers that its head gives, of spans for each token; 0: it has no head
  models::TaskHead head = models::TaskHead::kPooled;
  int positions = 0, segments = 0, vocabulary = 0;
  bool multi_label = false;
  std::vector<std::string> label_names;                // id2label
  std::vector<std::pair<std::string, int>> label_ids;  // label2id
  models::Settings settings;
};

// Those of a directory whose weights something else computes with: `classes` and `head` are what that says.
// Error (exit 2) if config.json or architecture.textproto are missing or broken.
ModelFacts ReadFacts(const std::string& directory, int classes, models::TaskHead head);

// Inputs as tokens.
struct ReadTexts {
  data::Dataset windows;         // one an input; of a passage one or more
  std::vector<data::Row> spans;  // the inputs, where the model answers questions
  size_t inputs = 0;

  int InputOf(int window) const;  // the index of the input that a window is of
};

// Const functions may run in several threads at once.
class Texts {
 public:
  // Errors: Predictor's, but for those about weights.
  Texts(ModelFacts facts, const Options& options);

  Kind kind() const { return kind_; }
  const std::vector<std::string>& labels() const { return names_; }
  bool unanswerable() const { return task_.unanswerable; }
  int max_length() const { return length_; }

  // Error: an input of a span model without a second text, a second text for a model with one segment.
  ReadTexts Read(const std::vector<Input>& inputs) const;

  // One an input, in the inputs' order. `logits`: of each window, in their order, `classes` numbers; of spans
  // [tokens][2].
  std::vector<Prediction> Predictions(ReadTexts read, const std::vector<std::vector<double>>& logits) const;

 private:
  void FillAnswers(const ReadTexts& read, const std::vector<std::vector<double>>& logits,
                   std::vector<Prediction>* predictions) const;

  const ModelFacts facts_;
  const data::WordPiece tokenizer_;
  Kind kind_ = Kind::kClassification;
  int length_ = 0;
  data::TaskEntry task_;  // spans
  std::vector<std::string> names_;
};

}  // namespace thimble::runtime
