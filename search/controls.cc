#include "search/controls.h"

#include <algorithm>

#include "search/evaluator.h"
#include "search/strategy.h"

namespace thimble::search {

bool TrainsControls(const proto::Study& study, int index) {
  const auto trains = [](const proto::Stage& stage) { return EntryOf(stage.evaluator()).trains_cohorts; };
  const auto& stage = study.stage(index);
  if (!study.controls() || !trains(stage) || EntryOf(stage.strategy()).proposes_base) return false;
  return std::none_of(study.stage().begin() + index + 1, study.stage().end(), trains);
}

std::vector<std::pair<proto::Architecture, std::string>> Controls(const proto::Study& study, const proto::Stage& stage,
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
  const auto largest = std::max_element(uniform.begin(), uniform.end(),
                                        [&](const auto& a, const auto& b) { return whole.Cost(a) < whole.Cost(b); });
  if (largest != uniform.end()) controls.emplace_back(*largest, kUniform);
  Random chance = Random(study.seed()).Fork("control by chance of " + stage.name());
  if (const auto drawn = whole.Sample(&chance)) controls.emplace_back(*drawn, kRandom);
  return controls;
}

}  // namespace thimble::search
