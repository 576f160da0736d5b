// Which output of a classifier stands for which label of a task, told by the names that its config.json gives
// the outputs.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "data/task.h"

namespace thimble::data {

struct OutputNames {
  std::vector<std::string> names;  // id2label, by index; LABEL_0, LABEL_1, ... where there is none
  std::vector<std::pair<std::string, int>> ids;  // label2id; -1 for what is no index; empty: there is none
};

struct LabelOrder {
  std::vector<int> output;  // of each label of the task: the index of the model's output
  // For the user: how the order was found, where it is not the task's own by name. Empty: nothing to say.
  std::string note;
};

// `where`: the model's directory, for messages. Names are compared with the task's labels and with
// TaskEntry::spellings, first as they are spelt, then without regard to case, `-`, `_` and spaces where that
// keeps the task's labels apart. Outputs without names (LABEL_0, LABEL_1, ..., or the numbers 0, 1, ...) are
// taken by position. Numbers and spans have no order: the outputs as they are. `names.names` has as many as
// `task` has labels. Error (exit 2) that shows both lists if the names are not the task's, or if id2label and
// label2id disagree; `assume_label_order` takes the outputs by position instead.
LabelOrder MatchLabels(const std::string& where, const OutputNames& names, const TaskEntry& task,
                       bool assume_label_order);

// What is wrong with names of which label2id says another order than id2label; empty: nothing. The whole
// check where no task says what the names mean.
std::string Contradiction(const OutputNames& names);

}  // namespace thimble::data
