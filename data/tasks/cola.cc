// Corpus of Linguistic Acceptability (Warstadt et al., 2019): 1 where a sentence is acceptable. The labelled
// files have no header.
#include "data/task.h"

namespace thimble::data {

// source, label, original mark, sentence; test: index, sentence
TaskEntry cola() {
  return {.directory = "CoLA",
          .labels = {"0", "1"},
          .spellings = {{"unacceptable", "not_acceptable", "ungrammatical", "incorrect", "false", "no",
                         "negative"},
                        {"acceptable", "grammatical", "correct", "true", "yes", "positive"}},
          .metrics = {"matthews", "accuracy"},
          .first_column = 3,
          .label_column = 1,
          .columns = 4,
          .header = false,
          .test_columns = 2,
          .submission = "CoLA.tsv"};
}

}  // namespace thimble::data
