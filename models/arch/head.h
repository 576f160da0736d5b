// What a task head reads.
#pragma once

namespace thimble::models {

enum class Head {
  kPooled,  // tanh of a linear of [CLS] (BERT's pooler): outputs for a sequence,
            // BertForSequenceClassification
  kTokens,  // each token's last state: outputs for a token, BertForQuestionAnswering
  kWords    // the last state of hidden words: a score for each word of the vocabulary (models/words_head.h)
};

}  // namespace thimble::models
