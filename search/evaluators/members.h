// How the members of a study's cohorts share the cores.
#pragma once
#include "search/evaluators/study_bench.h"

namespace thimble::search {

// How many members of this study's cohorts step at the same time: all that there are cores for, or one
// after another with all cores each. Times a few updates of each where the study trains cohorts and there are
// several cores.
int MeasureMembers(const StudyBench& bench, bool bfloat16);

}  // namespace thimble::search
