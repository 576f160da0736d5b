// Stanford Sentiment Treebank (Socher et al., 2013), two classes: 0 negative, 1 positive.
#include "data/task.h"

namespace thimble::data {

// sentence, label
TaskEntry sst2() {
  return {.directory = "SST-2",
          .labels = {"0", "1"},
          .spellings = {{"negative", "neg", "bad"}, {"positive", "pos", "good"}},
          .metrics = {"accuracy"},
          .first_column = 0,
          .label_column = 1,
          .columns = 2,
          .test_columns = 2,
          .submission = "SST-2.tsv"};
}

}  // namespace thimble::data
