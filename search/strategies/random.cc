// Random search: every suggestion an independent draw from the stage's feasible points.
#include "search/strategy.h"

namespace thimble::search {
namespace {

class RandomSearch final : public Strategy {
 public:
  RandomSearch(const StageSpace& space, Random random) : novelty_(space, random) {}

  std::vector<proto::Architecture> Suggest(int count) override { return novelty_.Propose(count); }

  void Observe(const std::vector<Trial>& trials) override { novelty_.Observe(trials); }

 private:
  Novelty novelty_;
};

}  // namespace

StrategyEntry random() {
  return {.make = [](const proto::Strategy&, const StageSpace& space, Random random, StageInput)
              -> std::unique_ptr<Strategy> { return std::make_unique<RandomSearch>(space, random); },
          .by_default = true};
}

}  // namespace thimble::search
