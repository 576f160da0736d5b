// Adversarial GLUE (Wang et al., 2021), the public dev set: sentences of GLUE tasks, changed so that models
// err. A model of the task of the same name is scored on them; there is no training file.
#include "data/task.h"

namespace thimble::data {

// Those of data/tasks/NAME.cc.
TaskEntry mnli();
TaskEntry qnli();
TaskEntry qqp();
TaskEntry rte();
TaskEntry sst2();

namespace {

// One list of the document; its labels are numbers, in the order of the GLUE task's classes.
TaskEntry Part(const std::string& part, const TaskEntry& glue, const std::string& first,
               const std::string& second) {
  return {.directory = "advglue",
          .pair = !second.empty(),
          .labels = glue.labels,
          .spellings = glue.spellings,
          .metrics = {"accuracy"},
          .train = "",
          .dev = "dev.json",
          .test = "",
          .format = FileFormat::kAdvGlue,
          .first_name = first,
          .second_name = second,
          .part = part};
}

}  // namespace

TaskEntry adv_sst2() { return Part("sst2", sst2(), "sentence", ""); }
TaskEntry adv_qqp() { return Part("qqp", qqp(), "question1", "question2"); }
TaskEntry adv_mnli() { return Part("mnli", mnli(), "premise", "hypothesis"); }
TaskEntry adv_mnli_mismatched() { return Part("mnli-mm", mnli(), "premise", "hypothesis"); }
TaskEntry adv_qnli() { return Part("qnli", qnli(), "question", "sentence"); }
TaskEntry adv_rte() { return Part("rte", rte(), "sentence1", "sentence2"); }

}  // namespace thimble::data
