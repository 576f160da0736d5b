// A study's constraints and target as numbers: what a candidate costs by each, and how much it may. No
// LibTorch.
#pragma once
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "models/arch/head.h"
#include "proto/architecture.pb.h"
#include "proto/study.pb.h"

namespace thimble::search {

// What the formulas need beside the space.
struct SpaceContext {
  int classes = 2;         // of the task head, for DEPLOYED counting
  int teacher_hidden = 0;  // for PAPER counting and for Space.pooler = 0
  models::TaskHead head = models::TaskHead::kPooled;
  std::optional<proto::Architecture> teacher{};  // for speedups, and for what is cut out of it
  // Milliseconds of a pass on this machine (StudyScorer, tools/latency.h). Empty: constraints on latency are
  // not looked at.
  std::function<double(const proto::Architecture&, const proto::LatencyConstraint&)> latency{};
};

struct Limit {
  std::string where;  // "constraint[0].parameters"
  std::string what;   // "parameters (DEPLOYED)", "multiply-adds", "ms"
  double min = 0, max = std::numeric_limits<double>::infinity();
  bool whole = true;                                  // costs are whole numbers
  bool by_expression = false;                         // expressions of equal widths may cost differently
  std::optional<proto::LatencyConstraint> latency{};  // of one on latency: what is measured
  // The cost of a whole candidate. It adds up over layers: over a mixer and a block's width and stacks in
  // each.
  std::function<double(const proto::Architecture&)> cost;

  bool Keeps(double cost) const { return cost >= min && cost <= max; }
  std::string Text(double cost) const;  // "9000000", "4.25"
};

// Those of `study`, in its order, targets apart; plain_bert is none. Error (exit 2), as
// "constraint[i].FIELD", of one whose fields do not go together, or that needs a teacher that is not known.
std::vector<Limit> LimitsOf(const proto::Study& study, const SpaceContext& context);
bool WantsPlainBert(const proto::Study& study);

// "2.5x", "8ms", "9M": as people say it, and as stages of that target are named.
std::string TargetName(const proto::Constraint& target);
// The study of that target alone: the target is its last constraint, and stages have the target's name behind
// their own.
proto::Study OfTarget(const proto::Study& study, int target);
// One for each target; without any the study itself.
std::vector<proto::Study> TargetStudies(const proto::Study& study);

}  // namespace thimble::search
