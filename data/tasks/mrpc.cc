// Microsoft Research Paraphrase Corpus (Dolan and Brockett, 2005): do two news sentences say the same?
#include "data/paraphrase.h"
#include "data/task.h"

namespace thimble::data {

// Quality, #1 ID, #2 ID, #1 String, #2 String
TaskEntry mrpc() {
  return {.directory = "MRPC",
          .pair = true,
          .labels = {"0", "1"},
          .spellings = kParaphraseNames,
          .metrics = {"accuracy", "f1"},
          .first_column = 3,
          .second_column = 4,
          .label_column = 0,
          .columns = 5,
          .test_columns = 5,
          .test_first_column = 3,
          .test_second_column = 4,
          .submission = "MRPC.tsv"};
}

}  // namespace thimble::data
