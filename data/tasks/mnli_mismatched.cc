// MNLI scored on genres that are not in its training file.
#include "data/task.h"

namespace thimble::data {

TaskEntry mnli();  // data/tasks/mnli.cc

TaskEntry mnli_mismatched() {
  TaskEntry task = mnli();
  task.dev = "dev_mismatched.tsv";
  task.test = "test_mismatched.tsv";
  task.submission = "MNLI-mm.tsv";
  return task;
}

}  // namespace thimble::data
