// Semantic Textual Similarity Benchmark (Cer et al., 2017): how alike two sentences are, 0 to 5.
#include "data/task.h"

namespace thimble::data {

// index, genre, filename, year, old_index, source1, source2, sentence1, sentence2, score
TaskEntry stsb() {
  return {.directory = "STS-B",
          .pair = true,
          .labels = {"score"},
          .metrics = {"pearson", "spearman"},
          .first_column = 7,
          .second_column = 8,
          .label_column = 9,
          .columns = 10,
          .kind = TaskKind::kRegression,
          .test_columns = 9,
          .test_first_column = 7,
          .test_second_column = 8,
          .lowest = 0,
          .highest = 5,
          .submission = "STS-B.tsv"};
}

}  // namespace thimble::data
