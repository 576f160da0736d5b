// A study's trials as JSON: what `thimble search --json` prints and the Python module reads.
#pragma once
#include <string>
#include <vector>

#include "search/controller.h"
#include "tools/study/study_file.h"

namespace thimble::tools {

// One line: {"study": DIRECTORY, "trials": [{"stage", "number", "target", "state", "origin", "score",
// "standard_error", "parameters", "metrics": {...}, "seconds", "architecture", "best"}, ...]}. Scores are
// null unless the trial is complete or left its round; best: what export takes for its target
// (tools/study/choice.h).
std::string ResultsJson(const StudyFile& file, const std::vector<search::StageResult>& results);

}  // namespace thimble::tools
