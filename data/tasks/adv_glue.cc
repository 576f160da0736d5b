// Adversarial GLUE (Wang et al., 2021), the public dev set: sentences of GLUE tasks, changed so that models
// err. A model of the task of the same name is scored on them; there is no training file.
#include "data/task.h"

namespace thimble::data {
namespace {

// One list of the document; its labels are numbers, in the order of the GLUE task's classes.
TaskEntry Part(const std::string& part, const std::vector<std::string>& labels, const std::string& first,
               const std::string& second) {
  return {.directory = "advglue",
          .pair = !second.empty(),
          .labels = labels,
          .metrics = {"accuracy"},
          .train = "",
          .dev = "dev.json",
          .test = "",
          .format = FileFormat::kAdvGlue,
          .first_name = first,
          .second_name = second,
          .part = part};
}

const std::vector<std::string> kYesNo = {"0", "1"};
const std::vector<std::string> kTwoWay = {"entailment", "not_entailment"};
const std::vector<std::string> kThreeWay = {"entailment", "neutral", "contradiction"};

}  // namespace

TaskEntry adv_sst2() { return Part("sst2", kYesNo, "sentence", ""); }
TaskEntry adv_qqp() { return Part("qqp", kYesNo, "question1", "question2"); }
TaskEntry adv_mnli() { return Part("mnli", kThreeWay, "premise", "hypothesis"); }
TaskEntry adv_mnli_mismatched() { return Part("mnli-mm", kThreeWay, "premise", "hypothesis"); }
TaskEntry adv_qnli() { return Part("qnli", kTwoWay, "question", "sentence"); }
TaskEntry adv_rte() { return Part("rte", kTwoWay, "sentence1", "sentence2"); }

}  // namespace thimble::data
