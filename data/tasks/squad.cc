// SQuAD 1.1 (Rajpurkar et al., 2016): the answer to a question is a span of its passage.
#include "data/task.h"

namespace thimble::data {

TaskEntry squad() {
  return {.directory = "squad",
          .pair = true,
          .labels = {"start", "end"},
          .metrics = {"f1", "exact_match"},
          .train = "train-v1.1.json",
          .dev = "dev-v1.1.json",
          .test = "",
          .kind = TaskKind::kSpan,
          .format = FileFormat::kSquad,
          .submission = "squad_predictions.json"};
}

}  // namespace thimble::data
