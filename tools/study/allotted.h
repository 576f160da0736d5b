// `thimble slice` with a goal: lays the budget out, measures, says what was found.
#pragma once
#include <string>
#include <vector>

#include "data/dataset.h"
#include "distill/start/sliced.h"
#include "models/model.h"
#include "tools/run/sliced_report.h"

namespace thimble::tools {

struct AllotmentGoal {
  double speedup = 0;              // in multiply-adds at `length`; or
  double max_ms = 0;               // batch 1, 128 tokens, 1 thread, on this machine
  std::vector<std::string> rules;  // of proto::Allocation, small letters; empty: plan, taper, uniform
  int steps = 0;                   // of local search from the best
  int length = 128;
  int threads = 1;
  uint64_t seed = 1;
};

// The student nearest to the teacher within the goal; prints and records the best of each rule. A latency is
// predicted from parts while budgets are laid out, and measured whole before a student is named: one that
// misses by more than a twentieth is passed over. Error (exit 2) if the goal is below anything that this
// teacher can be cut to.
models::Model AllotStudent(const AllotmentGoal& goal, const models::Model& teacher,
                           const distill::SlicedStart& start, const data::Dataset& judge,
                           SlicedRecord* record);

}  // namespace thimble::tools
