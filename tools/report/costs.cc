#include "tools/report/costs.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "proto/study.pb.h"
#include "search/evaluators/measured_latency.h"
#include "tools/study/study_context.h"

namespace thimble::tools {
namespace {

// Of the study of one target: what it limits, else one row.
proto::LatencyConstraint LatencyOf(const proto::Study& study) {
  for (const auto& limit : study.constraint())
    if (limit.has_latency()) return limit.latency();
  return {};
}

std::string SettingText(const proto::LatencyConstraint& of) {
  return "batch " + std::to_string(of.batch()) + ", " + std::to_string(of.length()) + " tokens, " +
         std::to_string(of.threads()) + (of.threads() == 1 ? " thread" : " threads");
}

}  // namespace

KnownCosts CostsOf(const StudyFile& file, bool measure) {
  KnownCosts costs;
  const auto studies = search::TargetStudies(file.study);
  costs.by_target.resize(studies.size());
  costs.latency.resize(studies.size());
  search::SpaceContext context;
  try {
    context = ContextOf(file.study);
  } catch (const Error&) {
    if (measure) throw;
    return costs;  // what is stored is shown without
  }
  costs.teacher = context.teacher;
  costs.classes = context.classes;
  costs.head = context.head;
  const std::string work = file.directory + "/work";
  const auto latency = search::MeasuredLatency(models::LastStates(context.head), file.study.space(), work);
  for (size_t i = 0; i < studies.size(); ++i) {
    for (const auto goal : {search::kMultiplyAdds, search::kBytes})
      costs.by_target[i][goal] = search::CostOf(goal, studies[i], context, "");
    const auto of = LatencyOf(studies[i]);
    if (!measure && !std::filesystem::exists(search::LatencyFile(work, of))) continue;
    try {
      // The first question reads the file, or measures.
      const auto& space = studies[i].space();
      latency(context.teacher ? *context.teacher : search::SeedArchitecture(space, context), of);
    } catch (const Error& error) {
      if (measure) throw;
      Warn(std::string("without latencies: ") + error.what());
      continue;
    }
    costs.by_target[i][search::kLatency] = [latency, of](const proto::Architecture& architecture) {
      return latency(architecture, of);
    };
    costs.latency[i] = SettingText(of);
  }
  return costs;
}

}  // namespace thimble::tools
