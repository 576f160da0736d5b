// Every strategy after 100,000 trials: proposals within a minute and 500 MB.
#include <gtest/gtest.h>
#include <malloc.h>

#include <chrono>

#include "models/arch/architecture.h"
#include "search/strategy.h"
#include "tests/search/studies.h"

namespace thimble::search {
namespace {

constexpr int kTrials = 100'000;

class EveryStrategyAtScale : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryStrategyAtScale, ::testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const auto& entry : Strategies())
                             if (!entry.proposes_base && !entry.needs_damages) names.push_back(entry.name);
                           return names;
                         }()),
                         [](const auto& info) { return info.param; });

double Megabytes() { return static_cast<double>(mallinfo2().uordblks + mallinfo2().hblkhd) / 1e6; }

TEST_P(EveryStrategyAtScale, ProposesWithinAMinuteAnd500Megabytes) {
  const auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", kPaperLimit);
  const StageSpace space = MakeSpace(study);
  proto::Strategy spec;
  ParseText(GetParam() + " {}", "strategy", &spec);
  const double before = Megabytes();
  const auto strategy = MakeStrategy(spec, space, Random(1));
  Random random(2);
  std::chrono::duration<double> busy{};
  double most = 0;
  // In pieces, so that the trials themselves take no memory.
  for (int done = 0; done < kTrials; done += 1000) {
    std::vector<Trial> trials;
    for (int i = 0; i < 1000; ++i) {
      Trial trial{*space.Sample(&random)};
      for (int layer = 0; layer < trial.architecture.layer_size(); ++layer)
        trial.value +=
            trial.architecture.layer(layer).ffn().stacks() * (layer % 3 - 1) + 0.3 * random.Normal();
      trials.push_back(std::move(trial));
    }
    const auto start = std::chrono::steady_clock::now();
    strategy->Observe(trials);
    busy += std::chrono::steady_clock::now() - start;
    trials.clear();
    most = std::max(most, Megabytes() - before);
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(strategy->Suggest(4).size(), 4u);
  busy += std::chrono::steady_clock::now() - start;
  most = std::max(most, Megabytes() - before);
  EXPECT_LT(busy.count(), 60);
  EXPECT_LT(most, 500);
  RecordProperty("seconds", std::to_string(busy.count()));
  RecordProperty("megabytes", std::to_string(most));
}

}  // namespace
}  // namespace thimble::search
