// What a task head reads.
#pragma once

namespace thimble::models {

enum class TaskHead {
  kPooled,       // tanh of a linear of [CLS] (BERT's pooler): outputs for a sequence,
                 // BertForSequenceClassification
  kTokens,       // each token's last state: outputs for a token, BertForQuestionAnswering
  kMaskedTokens  // the last state of masked tokens: a score for each word of the vocabulary
                 // (models/mlm_head.h)
};

// Which tokens of a row have a state that is read.
enum class Tokens { kAll, kFirst };

// Which last states a model of that head reads, or returns where it has none (0 classes).
constexpr Tokens LastStates(TaskHead head, int classes = 1) {
  return classes > 0 && head == TaskHead::kPooled ? Tokens::kFirst : Tokens::kAll;
}

}  // namespace thimble::models
