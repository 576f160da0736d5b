// What a task head reads.
#pragma once

namespace thimble::models {

enum class Head {
  kPooled,  // tanh of a linear of [CLS] (BERT's pooler): outputs for a sequence,
            // BertForSequenceClassification
  kTokens   // each token's last state: outputs for a token, BertForQuestionAnswering
};

}  // namespace thimble::models
