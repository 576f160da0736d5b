#include "search/goals.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"

namespace thimble::search {
namespace {

constexpr int kLength = 128;  // tokens of the row whose multiply-adds are counted

Error NoLatency(const std::string& where) {
  return BadRequest(where,
                    "weighs latency, and the study does not limit it: of which rows, on how many threads?",
                    "LATENCY", "a constraint or target on latency, or another goal");
}

}  // namespace

std::function<double(const proto::Architecture&)> CostOf(Goal goal, const proto::Study& study,
                                                         const SpaceContext& context,
                                                         const std::string& where) {
  const auto limited = [&](auto has) {
    return std::find_if(study.constraint().begin(), study.constraint().end(), has);
  };
  // A limit of any height: what it counts is what the goal weighs.
  proto::Study one;
  proto::Constraint& limit = *one.add_constraint();
  switch (goal) {
    case kParameters:
      limit.mutable_parameters()->set_max(1);
      break;
    case kMultiplyAdds:
      limit.mutable_multiply_adds()->set_max(1);
      limit.mutable_multiply_adds()->set_length(kLength);
      break;
    case kLatency: {
      const auto found = limited([](const proto::Constraint& each) { return each.has_latency(); });
      if (found == study.constraint().end()) throw NoLatency(where);
      limit = *found;
      limit.mutable_latency()->set_max_ms(1);  // over the teacher's or not
      break;
    }
    case kBytes: {
      const auto found = limited([](const proto::Constraint& each) { return each.has_bytes(); });
      if (found != study.constraint().end()) limit = *found;
      limit.mutable_bytes()->set_max(1);
      break;
    }
    case kScore:
      THIMBLE_CHECK(false, "a score is no cost by formula");
  }
  const auto limits = LimitsOf(one, context);
  if (limits.empty())
    return [](const proto::Architecture&) { return 0.0; };  // of latency, where it is not looked at
  return limits[0].cost;
}

void CheckGoal(Goal goal, const proto::Study& study, const std::string& where) {
  const auto limits = [](const proto::Constraint& each) { return each.has_latency(); };
  const bool always =
      std::any_of(study.constraint().begin(), study.constraint().end(), limits) ||
      (!study.target().empty() && std::all_of(study.target().begin(), study.target().end(), limits));
  if (goal == kLatency && !always) throw NoLatency(where);
}

std::string NameOf(Goal goal) {
  std::string name = proto::Nsga2::Goal_Name(goal);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

}  // namespace thimble::search
