// SQuAD 2.0 (Rajpurkar et al., 2018): as SQuAD 1.1, but some questions have no answer.
#include "data/task.h"

namespace thimble::data {

TaskEntry squad2() {
  return {.directory = "squad",
          .pair = true,
          .labels = {"start", "end"},
          .metrics = {"f1", "exact_match"},
          .train = "train-v2.0.json",
          .dev = "dev-v2.0.json",
          .test = "",
          .kind = TaskKind::kSpan,
          .format = FileFormat::kSquad,
          .submission = "squad2_predictions.json",
          .unanswerable = true};
}

}  // namespace thimble::data
