// The layout that several GLUE tasks share.
#pragma once
#include <string>
#include <vector>

#include "data/task.h"

namespace thimble::data {

// index, first text, second text, label; scored by accuracy.
inline TaskEntry IndexedPair(const std::string& directory, const std::vector<std::string>& labels,
                             const std::vector<std::vector<std::string>>& spellings) {
  return {.directory = directory,
          .pair = true,
          .labels = labels,
          .spellings = spellings,
          .metrics = {"accuracy"},
          .first_column = 1,
          .second_column = 2,
          .label_column = 3,
          .columns = 4,
          .test_columns = 3,
          .submission = directory + ".tsv"};
}

}  // namespace thimble::data
