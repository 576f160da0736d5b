#include "search/controls.h"

#include <algorithm>

#include "search/evaluator.h"
#include "search/strategy.h"

namespace thimble::search {

namespace {

bool IsLastThatTrains(const proto::Study& study, int index) {
  const auto trains = [](const proto::Stage& stage) { return EntryOf(stage.evaluator()).trains_cohorts; };
  return trains(study.stage(index)) &&
         std::none_of(study.stage().begin() + index + 1, study.stage().end(), trains);
}

}  // namespace

bool TrainsControls(const proto::Study& study, int index) {
  return study.controls() && IsLastThatTrains(study, index) &&
         !EntryOf(study.stage(index).strategy()).proposes_base;
}

bool TrainsReady(const proto::Study& study, int index) {
  return study.has_ready() && IsLastThatTrains(study, index);
}

std::vector<std::pair<proto::Architecture, std::string>> Controls(const proto::Study& study,
                                                                  const proto::Stage& stage,
                                                                  const SpaceContext& context) {
  proto::Stage any = stage;
  any.clear_vary();
  for (const auto& each : study.stage())
    for (const int what : each.vary())
      if (std::find(any.vary().begin(), any.vary().end(), what) == any.vary().end())
        any.add_vary(static_cast<proto::Stage::Vary>(what));
  const StageSpace whole(study, any, SeedArchitecture(study.space(), context), context);
  std::vector<std::pair<proto::Architecture, std::string>> controls;
  const auto uniform = whole.Uniform();
  const auto largest = std::max_element(uniform.begin(), uniform.end(), [&](const auto& a, const auto& b) {
    return whole.Cost(a) < whole.Cost(b);
  });
  if (largest != uniform.end()) controls.emplace_back(*largest, kUniform);
  Random chance = Random(study.seed()).Fork("control by chance of " + stage.name());
  if (const auto drawn = whole.Sample(&chance)) controls.emplace_back(*drawn, kRandom);
  return controls;
}

}  // namespace thimble::search
