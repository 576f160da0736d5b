// What a study's candidates cost beside their parameters, where it can be said without running anything.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "search/goals.h"
#include "tools/study/study_file.h"

namespace thimble::tools {

struct KnownCosts {
  // By target (one, without any). Multiply-adds and bytes, and latency where its parts were measured; none
  // where neither the teacher nor what stands for it is there.
  std::vector<std::map<search::Goal, std::function<double(const proto::Architecture&)>>> by_target{};
  std::vector<std::string>
      latency{};  // of each target, of which passes: "batch 1, 128 tokens, 1 thread"; empty: not known
  std::optional<proto::Architecture> teacher{};
  int classes = 0;  // of the task's head; 0: not known
  models::TaskHead head = models::TaskHead::kPooled;
};

// `measure`: latency is measured, minutes, where it was not: of the study's own limit, else of one row of 128
// tokens on one thread. The times are kept in the study's directory.
KnownCosts CostsOf(const StudyFile& file, bool measure);

}  // namespace thimble::tools
