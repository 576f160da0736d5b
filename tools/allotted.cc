#include "tools/allotted.h"

#include <cmath>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "models/latency.h"
#include "search/evaluators/allocated.h"
#include "tools/common.h"
#include "train/divergence.h"

namespace thimble::tools {
namespace {

constexpr int kLatencyLength = 128;
constexpr double kMargin = 1.05;  // of a whole model's latency over the goal
constexpr int kTries = 3;         // budgets, each smaller by what the whole was above its parts

std::string Text(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string Counts(const proto::Architecture& architecture) {
  const models::Shape shape = models::Resolve(architecture);
  std::string text = std::to_string(shape.hidden) + " wide, heads and neurons";
  for (const auto& layer : shape.layers)
    text += " " + std::to_string(models::SizeOf(shape, layer.mixer).scores) + "+" + std::to_string(layer.width);
  return text;
}

// The best of each rule, and how much further from the teacher it is than the first on the same rows.
std::vector<std::vector<std::string>> RuleTable(const std::vector<search::AllocatedStudent>& judged) {
  std::vector<std::vector<std::string>> table = {{"rule", "nats from the teacher", "more than the first", "student"}};
  std::set<std::string> seen;
  for (const auto& student : judged) {
    if (!seen.insert(student.rule).second) continue;
    const auto [mean, error] = train::PairedDifference(student.row_divergences, judged[0].row_divergences);
    table.push_back({student.rule, Text("%.4f", student.divergence),
                     seen.size() == 1 ? "" : Text("%.4f", mean) + " +- " + Text("%.4f", error),
                     Counts(student.architecture)});
  }
  return table;
}

double Milliseconds(const models::Model& model) {
  return models::MeasureLatency(model, 1, std::min(kLatencyLength, model.shape.positions), 1).median_ms;
}

}  // namespace

models::Model AllotStudent(const AllotmentGoal& goal, const models::Model& teacher, const distill::SlicedStart& start,
                           const data::Dataset& judge, SlicedRecord* record) {
  search::AllocationOptions options{.threads = goal.threads, .seed = goal.seed};
  if (!goal.rules.empty()) options.rules = goal.rules;
  search::Allocator allocator(teacher, start, judge, options);
  const auto say = [&](const std::vector<search::AllocatedStudent>& judged, const std::string& within) {
    record->goal = within;
    record->rules = RuleTable(judged);
    std::printf("the best of %d students within %s, on %d rows that the start has not seen:\n%s\n",
                static_cast<int>(judged.size()), within.c_str(), static_cast<int>(judge.size()), Table(record->rules).c_str());
  };
  if (goal.speedup > 0) {
    const auto cost = [&](const models::Shape& shape) {
      return static_cast<double>(models::MultiplyAdds(shape, goal.length, teacher.head));
    };
    const double limit = cost(teacher.shape) / goal.speedup;
    const auto judged = allocator.Allocate(
        {"--speedup", "multiply-adds", limit, [&](const proto::Architecture& student) { return cost(models::Resolve(student)); }});
    say(judged, Millions(static_cast<int64_t>(limit)) + " multiply-adds at " + std::to_string(goal.length) +
                    " tokens, the teacher's over " + Text("%g", goal.speedup));
    return allocator.Make(judged[0].architecture, &record->report);
  }
  models::LatencyTable table(1, std::min(kLatencyLength, teacher.shape.positions), 1);
  const auto predicted = [&](const proto::Architecture& student) { return models::Sum(table.Parts(student, models::LastStates(teacher.head))); };
  double limit = goal.max_ms;
  for (int i = 0; i < kTries; ++i) {
    const auto judged = allocator.Allocate({"--max-latency", "ms", limit, predicted});
    say(judged, Text("%.3g", limit) + " ms by measured parts");
    double over = 0;
    for (const auto& student : judged) {
      models::Model model = allocator.Make(student.architecture, &record->report);
      const double whole = Milliseconds(model);
      Say(student.rule + " " + Counts(student.architecture) + ": " + Text("%.2f", student.cost) + " ms predicted, " +
          Text("%.2f", whole) + " ms measured");
      if (whole <= kMargin * goal.max_ms) return model;
      over = whole / student.cost;
      if (&student - judged.data() >= 2) break;  // the others are no faster
    }
    limit = goal.max_ms / over;
  }
  throw WorkFailed("--max-latency", "no student keeps " + Text("%g", goal.max_ms) +
                                        " ms when it is measured whole; the machine may be busy");
}

}  // namespace thimble::tools
