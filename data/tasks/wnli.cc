// Winograd NLI (Levesque et al., 2012): 1 where the second sentence, a pronoun resolved, follows from the
// first.
#include "data/task.h"

namespace thimble::data {

// index, sentence1, sentence2, label
TaskEntry wnli() {
  return {.directory = "WNLI",
          .pair = true,
          .labels = {"0", "1"},
          .metrics = {"accuracy"},
          .first_column = 1,
          .second_column = 2,
          .label_column = 3,
          .columns = 4,
          .test_columns = 3,
          .submission = "WNLI.tsv"};
}

}  // namespace thimble::data
