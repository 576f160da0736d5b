// Quora Question Pairs: 1 where two questions ask the same.
#include "data/paraphrase.h"
#include "data/task.h"

namespace thimble::data {

// id, qid1, qid2, question1, question2, is_duplicate; test: id, question1, question2
TaskEntry qqp() {
  return {.directory = "QQP",
          .pair = true,
          .labels = {"0", "1"},
          .spellings = kParaphraseNames,
          .metrics = {"accuracy", "f1"},
          .first_column = 3,
          .second_column = 4,
          .label_column = 5,
          .columns = 6,
          .test_columns = 3,
          .submission = "QQP.tsv"};
}

}  // namespace thimble::data
