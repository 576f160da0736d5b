#include "tools/report/front.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/error.h"
#include "tools/quantities.h"
#include "tools/report/digits.h"
#include "tools/study/study_context.h"

namespace thimble::tools {
namespace {

using search::Goal;

const std::string kNames = "score, parameters, multiply_adds, latency, bytes";

Goal GoalNamed(const std::string& name, const std::string& option) {
  for (const Goal goal : search::kGoals)
    if (search::NameOf(goal) == name) return goal;
  throw BadRequest(option, "no such goal", name, kNames);
}

std::vector<Goal> ParseGoals(const std::string& text) {
  std::vector<Goal> goals;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const Goal goal = GoalNamed(part, "--front");
    if (std::find(goals.begin(), goals.end(), goal) != goals.end())
      throw BadRequest("--front", "a goal stands twice", part, "each once");
    goals.push_back(goal);
  }
  if (goals.size() < 2 || goals.size() > 3)
    throw BadRequest("--front", "a front has two or three goals", text, kNames);
  return goals;
}

std::pair<Goal, double> ParseLimit(const std::string& text) {
  const size_t equals = text.find('=');
  const Goal goal = GoalNamed(text.substr(0, equals), "--at-most");
  if (equals == std::string::npos || goal == search::kScore)
    throw BadRequest("--at-most", "limits a cost", text,
                     "parameters=9M, multiply_adds=300M, latency=5ms, bytes=40M");
  const std::string value = text.substr(equals + 1);
  return {goal, goal == search::kLatency ? ParseMilliseconds("--at-most", value)
                                         : static_cast<double>(ParseCount("--at-most", value))};
}

// `digits`: of a score.
std::string ValueText(Goal goal, double cost, int digits) {
  switch (goal) {
    case search::kScore:
      return Decimal(-cost, digits);
    case search::kLatency:
      return Decimal(cost, 2) + "ms";
    case search::kBytes:
      return Decimal(cost / 1e6, 2) + "MB";
    default:
      return Millions(std::llround(cost));
  }
}

// Of the box between the best and the worst value of each goal among the points, the share that they
// dominate.
double DominatedShare(const std::vector<search::Costs>& points) {
  search::Costs best = points[0], worst = points[0];
  for (const auto& point : points)
    for (size_t i = 0; i < point.size(); ++i) {
      best[i] = std::min(best[i], point[i]);
      worst[i] = std::max(worst[i], point[i]);
    }
  double box = 1;
  for (size_t i = 0; i < best.size(); ++i) box *= worst[i] - best[i];
  return box > 0 ? search::Hypervolume(points, worst) / box : 0;
}

}  // namespace

search::Costs Front::Of(const search::StoredTrial& trial, size_t target) const {
  search::Costs of;
  for (const Goal goal : goals)
    of.push_back(goal == search::kScore        ? -trial.trial.value
                 : goal == search::kParameters ? static_cast<double>(trial.deployed_parameters)
                                               : costs[target].at(goal)(trial.trial.architecture));
  return of;
}

Front MakeFront(const std::string& goals, const std::vector<std::string>& limits, const StudyFile& file) {
  Front front;
  if (!goals.empty()) front.goals = ParseGoals(goals);
  for (const auto& limit : limits) front.limits.push_back(ParseLimit(limit));
  std::vector<std::pair<Goal, std::string>> wanted;
  for (const Goal goal : front.goals) wanted.emplace_back(goal, "--front");
  for (const auto& [goal, value] : front.limits) wanted.emplace_back(goal, "--at-most");
  wanted.erase(std::remove_if(wanted.begin(), wanted.end(),
                              [](const auto& each) {
                                return each.first == search::kScore || each.first == search::kParameters;
                              }),
               wanted.end());
  if (wanted.empty()) return front;  // facts of the trials: the teacher need not be there
  const auto context = ContextOf(file.study, file.directory);
  for (const auto& study : search::TargetStudies(file.study)) {
    auto& costs = front.costs.emplace_back();
    for (const auto& [goal, option] : wanted) costs[goal] = search::CostOf(goal, study, context, option);
  }
  return front;
}

Measured Measure(const search::StageResult& stage, const Front& front, size_t target) {
  Measured measured;
  for (size_t i = 0; i < stage.trials.size(); ++i) {
    if (stage.trials[i].trial.state != search::TrialState::kComplete ||
        stage.trials[i].trial.origin == search::kReady)
      continue;
    measured.points.push_back(front.Of(stage.trials[i], target));
    measured.index.push_back(static_cast<int>(i));
  }
  return measured;
}

std::string FrontText(const search::StageResult& stage, const Front& front, size_t target) {
  const Measured measured = Measure(stage, front, target);
  if (measured.points.empty()) return "";
  const int digits = DigitsOf(stage);
  std::string names, text;
  for (const Goal goal : front.goals) names += (names.empty() ? "" : ", ") + search::NameOf(goal);
  for (const int i : search::ParetoFront(measured.points)) {
    text += "  " + std::to_string(stage.trials[measured.index[i]].number) + ":";
    for (size_t k = 0; k < front.goals.size(); ++k)
      text += " " + ValueText(front.goals[k], measured.points[i][k], digits);
  }
  text = "Pareto front of stage " + stage.name + " (" + names + "; " +
         Decimal(100 * DominatedShare(measured.points), 1) +
         "% of what lies between the best and the worst of each is dominated):" + text + "\n";
  if (front.limits.empty()) return text;

  Front limited{.goals = {search::kScore}, .limits = {}, .costs = front.costs};
  search::Costs limits = {HUGE_VAL};
  std::string within;
  for (const auto& [goal, most] : front.limits) {
    limited.goals.push_back(goal);
    limits.push_back(most);
    within += (within.empty() ? "" : ", ") + search::NameOf(goal) + " up to " + ValueText(goal, most, digits);
  }
  const Measured all = Measure(stage, limited, target);
  const int best = search::BestWithin(all.points, limits);
  text += "best of stage " + stage.name + " with " + within + ": ";
  if (best < 0) return text + "none\n";
  text += "trial " + std::to_string(stage.trials[all.index[best]].number) + ", score " +
          ValueText(search::kScore, all.points[best][0], digits);
  for (size_t k = 0; k < front.limits.size(); ++k)
    text += ", " + search::NameOf(front.limits[k].first) + " " +
            ValueText(front.limits[k].first, all.points[best][k + 1], digits);
  return text + "\n";
}

}  // namespace thimble::tools
