// Question NLI (Wang et al., 2019), from SQuAD: does the sentence hold the answer to the question?
#include "data/task.h"

namespace thimble::data {

// index, question, sentence, label
TaskEntry qnli() {
  return {.directory = "QNLI",
          .pair = true,
          .labels = {"entailment", "not_entailment"},
          .metrics = {"accuracy"},
          .first_column = 1,
          .second_column = 2,
          .label_column = 3,
          .columns = 4,
          .test_columns = 3,
          .submission = "QNLI.tsv"};
}

}  // namespace thimble::data
