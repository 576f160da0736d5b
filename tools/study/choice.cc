#include "tools/study/choice.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "base/log.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "models/latency.h"
#include "proto/study.pb.h"
#include "search/closing.h"
#include "tools/quantities.h"
#include "tools/run/export.h"
#include "tools/study/study_context.h"

namespace thimble::tools {
namespace {

// Complete trials in the order in which they are tried: of the last stage that has any, the best first, but
// smaller ones before it that are within one standard error of it, in pairs over the held-out rows; or the
// one asked for.
std::vector<Choice> Candidates(const std::vector<search::StageResult>& results, const ChoiceLimits& limits) {
  std::vector<Choice> choices;
  if (!limits.trial.empty()) {
    for (const auto& stage : results)
      for (const auto& trial : stage.trials)
        if (stage.name + "/" + std::to_string(trial.number) == limits.trial)
          choices.push_back({&stage, &trial});
    if (!choices.empty() && choices[0].trial->trial.origin == search::kReady)
      throw BadRequest("--trial", "is the ready checkpoint, which is nothing that the search cuts out",
                       limits.trial, "another trial, or `thimble distill --student` with the checkpoint");
    if (choices.empty())
      throw BadRequest("--trial", "no such trial", limits.trial, "STAGE/NUMBER as `thimble show` lists them");
    return choices;
  }
  for (auto stage = results.rbegin(); stage != results.rend() && choices.empty(); ++stage)
    for (const auto& trial : stage->trials)
      if (trial.trial.state == search::TrialState::kComplete && trial.trial.origin != search::kReady)
        choices.push_back({&*stage, &trial});
  if (choices.empty())
    throw BadRequest(limits.study, "no trial is complete yet; run `thimble search " + limits.study + "`");
  std::stable_sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
    return a.trial->trial.value > b.trial->trial.value;
  });
  const auto* best = choices.front().trial;
  const auto level = [&](const Choice& choice) {
    const auto [more, error] = search::LeadOf(*best, *choice.trial);
    return !choice.trial->rows.empty() && more <= error;
  };
  const auto end = std::stable_partition(choices.begin(), choices.end(), level);
  std::stable_sort(choices.begin(), end, [](const Choice& a, const Choice& b) {
    return a.trial->deployed_parameters < b.trial->deployed_parameters;
  });
  return choices;
}

// Whether the whole model, measured now, takes no more than a twentieth above the study's limits on latency;
// they were kept by the sum of its parts. `fastest`: the least that was measured.
bool KeepsWhole(const Choice& choice, const std::vector<search::Limit>& limits,
                const search::SpaceContext& context, double* fastest) {
  constexpr double kMargin = 1.05;
  for (const auto& limit : limits) {
    if (!limit.latency) continue;
    const auto& of = *limit.latency;
    const auto& architecture = choice.trial->trial.architecture;
    const auto model = models::MakeModel(architecture, context.classes, 0, Random(1), context.head);
    const double ms =
        models::MeasureLatency(model, of.batch(), std::min(of.length(), model.shape.positions), of.threads())
            .median_ms;
    *fastest = std::min(*fastest, ms);
    Info("trial " + choice.stage->name + "/" + std::to_string(choice.trial->number) + ": " + Decimal(ms, 2) +
         " ms measured whole, " + Decimal(limit.cost(architecture), 2) + " by its parts, limit " +
         Decimal(limit.max, 2));
    if (ms > kMargin * limit.max) return false;
  }
  return true;
}

}  // namespace

std::vector<search::StageResult> ResultsOf(const std::vector<search::StageResult>& results,
                                           const std::string& target) {
  const auto groups = search::ByTarget(results);
  std::string names;
  for (const auto& group : groups) {
    const std::string& name = group[0].target;
    if (name == target || (target.empty() && groups.size() == 1)) return group;
    names += (names.empty() ? "" : ", ") + name;
  }
  throw BadRequest("--target", target.empty() ? "the study has several" : "the study has no such target",
                   target, names.empty() ? "none: the study has no targets" : names);
}

proto::Study StudyOf(const proto::Study& study, const std::vector<search::StageResult>& results) {
  for (const auto& one : search::TargetStudies(study))
    if (one.stage(0).name() == results[0].name) return one;
  return study;
}

Choice Choose(const std::vector<search::StageResult>& results, const proto::Study& study,
              const search::SpaceContext& context, const ChoiceLimits& limits) {
  const auto of_study = search::LimitsOf(study, context);
  double fastest = INFINITY;
  int64_t smallest = INT64_MAX;
  for (const auto& choice : Candidates(results, limits)) {
    smallest = std::min(smallest, choice.trial->deployed_parameters);
    if (choice.trial->deployed_parameters > limits.max_params) continue;
    if (std::isfinite(limits.max_ms)) {
      // Latency does not depend on the weights' values: measured on this machine with random ones.
      const double ms = LatencyMs(
          models::MakeModel(choice.trial->trial.architecture, context.classes, 0, Random(1), context.head));
      fastest = std::min(fastest, ms);
      if (ms > limits.max_ms) continue;
    }
    if (limits.trial.empty() && !KeepsWhole(choice, of_study, context, &fastest)) continue;
    return choice;
  }
  throw BadRequest(
      limits.study, "no complete trial meets the limits",
      std::isfinite(fastest) ? "fastest " + Decimal(fastest, 2) + " ms" : "smallest " + Millions(smallest));
}

const search::StoredTrial* UniformControl(const std::vector<search::StageResult>& results) {
  const auto uniform = [](const search::StoredTrial& trial) {
    return trial.trial.origin == search::kUniform;
  };
  const search::StoredTrial* best = nullptr;
  for (auto stage = results.rbegin(); stage != results.rend() && best == nullptr; ++stage)
    best = search::BestTrial(*stage, uniform);
  return best;
}

proto::Architecture UniformLike(const proto::Study& study, const search::SpaceContext& context,
                                const search::StoredTrial& found) {
  proto::Stage any;
  any.set_name("uniform");
  for (const auto what : {proto::Stage::STACKS, proto::Stage::RATIO, proto::Stage::FORM, proto::Stage::MIXER,
                          proto::Stage::HIDDEN, proto::Stage::LAYERS, proto::Stage::EMBEDDING})
    any.add_vary(what);
  auto free = study;
  free.clear_constraint();
  const search::StageSpace space(free, any, search::SeedArchitecture(study.space(), context), context);
  proto::Architecture best;
  int64_t distance = INT64_MAX;
  for (auto& uniform : space.Uniform()) {
    const int64_t size = models::DeployedParameters(models::Resolve(uniform), context.classes, context.head);
    const int64_t gap = std::abs(size - found.deployed_parameters);
    if (gap < distance) distance = gap, best = std::move(uniform);
  }
  if (best.layer().empty())
    throw BadRequest("--uniform", "the space has no student whose layers are all alike");
  return best;
}

}  // namespace thimble::tools
