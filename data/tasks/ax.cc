// GLUE's diagnostic pairs (Wang et al., 2019), published without labels: an MNLI model's predictions go to
// the leaderboard. A labelled file is read too: the official one keeps its labels to itself.
#include "data/entailment.h"
#include "data/task.h"

namespace thimble::data {

// index, sentence1, sentence2, label; published: without the label
TaskEntry ax() {
  return {.directory = "AX",
          .pair = true,
          .labels = kThreeWay,
          .spellings = kThreeWayNames,
          .metrics = {"matthews"},
          .first_column = 1,
          .second_column = 2,
          .label_column = 3,
          .columns = 4,
          .train = "",
          .dev = "",
          .test = "diagnostic.tsv",
          .test_columns = 3,
          .submission = "AX.tsv"};
}

}  // namespace thimble::data
