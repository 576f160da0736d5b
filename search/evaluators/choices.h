// Choices made by measuring or by what the machine has, once; stored with the study so that a resume repeats
// them.
#pragma once

namespace thimble::search {

struct Choices {
  bool bfloat16 = false;
  // Members of a cohort that step at the same time, candidates that are scored at the same time. Each has
  // threads / members_threads threads, however many there are in its round.
  int members_threads = 1;
  int threads = 1;  // of the whole process; sums are rounded differently with another number
};

}  // namespace thimble::search
