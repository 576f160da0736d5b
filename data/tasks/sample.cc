// The paraphrase task that script/make-sample generates for the quick start: 1 where two sentences tell the
// same event.
#include "data/paraphrase.h"
#include "data/task.h"

namespace thimble::data {

// sentence1, sentence2, label
TaskEntry sample() {
  return {.directory = "SAMPLE",
          .pair = true,
          .labels = {"0", "1"},
          .spellings = kParaphraseNames,
          .metrics = {"accuracy"},
          .first_column = 0,
          .second_column = 1,
          .label_column = 2,
          .columns = 3,
          .test = ""};
}

}  // namespace thimble::data
