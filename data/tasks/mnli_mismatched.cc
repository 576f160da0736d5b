// MNLI scored on genres that are not in its training file.
#include "data/task.h"

namespace thimble::data {

// as task mnli
TaskEntry mnli_mismatched() {
  return {.directory = "MNLI",
          .pair = true,
          .labels = {"entailment", "neutral", "contradiction"},
          .metrics = {"accuracy"},
          .first_column = 8,
          .second_column = 9,
          .label_column = -1,
          .columns = 12,
          .dev = "dev_mismatched.tsv",
          .test = "test_mismatched.tsv",
          .dev_columns = 16,
          .test_columns = 10,
          .test_first_column = 8,
          .test_second_column = 9,
          .submission = "MNLI-mm.tsv"};
}

}  // namespace thimble::data
