// Which trials no other one beats in everything: what `show` prints of a stage by the goals that are asked
// for.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "search/controller.h"
#include "search/goals.h"
#include "search/pareto.h"
#include "tools/study/study_file.h"

namespace thimble::tools {

struct Front {
  std::vector<search::Goal> goals = {search::kScore, search::kParameters};
  std::vector<std::pair<search::Goal, double>> limits{};  // the best trial within all of them is named, too
  // By target (one, without any): what is no fact of a trial.
  std::vector<std::map<search::Goal, std::function<double(const proto::Architecture&)>>> costs{};

  search::Costs Of(const search::StoredTrial& trial, size_t target) const;
};

// "score,parameters,multiply_adds" and "parameters=9M". Error (exit 2), also of a goal that the study says
// nothing of.
Front MakeFront(const std::string& goals, const std::vector<std::string>& limits, const StudyFile& file);

// Complete trials: indices into the stage's, and their costs.
struct Measured {
  std::vector<int> index;
  std::vector<search::Costs> points;
};
Measured Measure(const search::StageResult& stage, const Front& front, size_t target);

std::string FrontText(const search::StageResult& stage, const Front& front, size_t target);

}  // namespace thimble::tools
