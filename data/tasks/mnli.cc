// Multi-Genre Natural Language Inference (Williams et al., 2018), scored on the genres it is trained on.
#include "data/entailment.h"
#include "data/task.h"

namespace thimble::data {

// sentence1 and sentence2 are columns 9 and 10; the gold label is the last of 12 (train) or 16 (dev)
TaskEntry mnli() {
  return {.directory = "MNLI",
          .pair = true,
          .labels = kThreeWay,
          .spellings = kThreeWayNames,
          .metrics = {"accuracy"},
          .first_column = 8,
          .second_column = 9,
          .label_column = -1,
          .columns = 12,
          .dev = "dev_matched.tsv",
          .test = "test_matched.tsv",
          .dev_columns = 16,
          .test_columns = 10,
          .test_first_column = 8,
          .test_second_column = 9,
          .submission = "MNLI-m.tsv"};
}

}  // namespace thimble::data
