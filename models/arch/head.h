// What a task head reads.
#pragma once

namespace thimble::models {

enum class Head {
  kPooled,  // tanh of a linear of [CLS] (BERT's pooler): outputs for a sequence,
            // BertForSequenceClassification
  kTokens,  // each token's last state: outputs for a token, BertForQuestionAnswering
  kWords    // the last state of hidden words: a score for each word of the vocabulary (models/words_head.h)
};

// Of which tokens of a row a state is read.
enum class Tokens { kAll, kFirst };

// Which last states a model of that head reads, or returns where it has none (0 classes).
constexpr Tokens LastStates(Head head, int classes = 1) {
  return classes > 0 && head == Head::kPooled ? Tokens::kFirst : Tokens::kAll;
}

}  // namespace thimble::models
