// A study in words: what `show` and `search` print.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "search/controller.h"
#include "tools/report/front.h"

namespace thimble::tools {

std::string TrialText(const std::vector<search::StageResult>& results);
// The best trial of each stage, how sure its lead is, the verdict against the controls, and the front of the
// last stage; of each target.
std::string ResultText(const std::vector<search::StageResult>& results, const Front& front = {});
// What else the document says, in the order of report.html: the teacher, the front of each target as a plot
// in characters, the best score by stage, learning curves, which layers are compared, cheap scores, the rows,
// commands.
std::string DocumentText(const nlohmann::ordered_json& document);
// "stage,trial,...": a heading, and a row for each trial of each stage.
std::string DocumentCsv(const nlohmann::ordered_json& document);

}  // namespace thimble::tools
