// Recognising Textual Entailment, the joined sets of RTE 1, 2, 3 and 5: does the first text entail the
// second?
#include "data/task.h"

namespace thimble::data {

// index, sentence1, sentence2, label
TaskEntry rte() {
  return {.directory = "RTE",
          .pair = true,
          .labels = {"entailment", "not_entailment"},
          .metrics = {"accuracy"},
          .first_column = 1,
          .second_column = 2,
          .label_column = 3,
          .columns = 4,
          .test_columns = 3,
          .submission = "RTE.tsv"};
}

}  // namespace thimble::data
