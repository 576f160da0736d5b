#include "tools/study/allotted.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/difference.h"
#include "base/error.h"
#include "base/log.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "models/latency.h"
#include "proto/study.pb.h"
#include "search/cut_space.h"
#include "search/evaluators/allocated.h"
#include "search/evaluators/measured_latency.h"
#include "tools/quantities.h"
#include "tools/table.h"

namespace thimble::tools {
namespace {

constexpr int kLatencyLength = 128;
constexpr double kMargin = 1.05;  // of a whole model's latency over the goal
constexpr int kDraws = 20;        // students by chance of a width, where they are asked for
constexpr int kTries = 3;         // budgets, each smaller by what the whole was above its parts

std::string Text(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string Counts(const proto::Architecture& architecture) {
  const models::ResolvedArchitecture shape = models::Resolve(architecture);
  std::string text = std::to_string(shape.hidden) + " wide, heads and neurons";
  for (const auto& layer : shape.layers)
    text +=
        " " + std::to_string(models::SizeOf(shape, layer.mixer).heads) + "+" + std::to_string(layer.width);
  return text;
}

// The best of each rule, and how much further from the teacher it is than the first on the same rows.
std::vector<std::vector<std::string>> RuleTable(const std::vector<search::AllocatedStudent>& judged) {
  std::vector<std::vector<std::string>> table = {
      {"rule", "nats from the teacher", "more than the first", "student"}};
  std::set<std::string> seen;
  for (const auto& student : judged) {
    if (!seen.insert(student.rule).second) continue;
    const auto [mean, error] = PairedDifference(student.row_divergences, judged[0].row_divergences);
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

models::Model AllotStudent(const AllotmentGoal& goal, const models::Model& teacher,
                           const distill::SlicedStart& start, const data::Dataset& judge,
                           SlicedRecord* record) {
  search::Allocator allocator(teacher, start, judge, goal.threads, goal.seed);
  proto::Allocation rules;
  rules.set_draws(kDraws);
  for (const std::string& rule :
       goal.rules.empty() ? std::vector<std::string>{"plan", "taper", "uniform"} : goal.rules) {
    std::string name = rule;
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
    proto::Allocation::Rule value;
    THIMBLE_CHECK(proto::Allocation::Rule_Parse(name, &value), rule);
    rules.add_rule(value);
  }
  const proto::Space cut = search::CutSpace(teacher.shape);
  const search::SpaceContext context{
      .classes = teacher.classes,
      .teacher_hidden = teacher.shape.hidden,
      .head = teacher.head,
      .teacher = teacher.architecture,
      .latency = search::MeasuredLatency(models::LastStates(teacher.head), cut)};
  const auto space_within = [&](const std::string& flag, const proto::Constraint& constraint) {
    proto::Study study;
    *study.mutable_space() = cut;
    *study.add_constraint() = constraint;
    proto::Stage stage;
    stage.set_name("slice");
    for (const auto what :
         {proto::Stage::HEADS, proto::Stage::WIDTH, proto::Stage::HIDDEN, proto::Stage::LAYERS})
      stage.add_vary(what);
    try {
      return search::StageSpace(study, stage, search::SeedArchitecture(study.space(), context), context);
    } catch (const Error& error) {
      throw Error(flag + ": " + error.what(), error.code());
    }
  };
  const auto allocate = [&](const search::StageSpace& space, const std::string& flag,
                            const std::string& within) {
    std::vector<search::AllocatedStudent> judged;
    try {
      judged = allocator.Allocate(space, rules, goal.steps);
    } catch (const Error& error) {
      throw Error(flag + ": " + error.what(), error.code());
    }
    if (judged.empty())
      throw BadRequest(flag, "no student of these rules costs so little", within, "a larger budget");
    record->goal = within;
    record->rules = RuleTable(judged);
    std::printf("the best of %d students within %s, on %d rows that the start has not seen:\n%s\n",
                static_cast<int>(judged.size()), within.c_str(), static_cast<int>(judge.size()),
                Table(record->rules).c_str());
    return judged;
  };
  if (goal.speedup > 0) {
    proto::Constraint constraint;
    constraint.mutable_multiply_adds()->set_speedup(goal.speedup);
    constraint.mutable_multiply_adds()->set_length(goal.length);
    const auto space = space_within("--speedup", constraint);
    const auto judged =
        allocate(space, "--speedup",
                 Millions(static_cast<int64_t>(space.limits().back().max)) + " multiply-adds at " +
                     std::to_string(goal.length) + " tokens, the teacher's over " + Text("%g", goal.speedup));
    return allocator.Make(space, judged[0].architecture, &record->report);
  }
  double limit = goal.max_ms;
  for (int i = 0; i < kTries; ++i) {
    proto::Constraint constraint;
    constraint.mutable_latency()->set_max_ms(limit);
    const auto space = space_within("--max-latency", constraint);
    const auto judged = allocate(space, "--max-latency", Text("%.3g", limit) + " ms by measured parts");
    double over = 0;
    for (const auto& student : judged) {
      models::Model model = allocator.Make(space, student.architecture, &record->report);
      const double whole = Milliseconds(model);
      Info(student.rule + " " + Counts(student.architecture) + ": " + Text("%.2f", student.cost) +
           " ms predicted, " + Text("%.2f", whole) + " ms measured");
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
