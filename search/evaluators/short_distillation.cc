// The sliced candidate, distilled on the task for a few epochs, side by side with those of its round.
#include "search/evaluators/evaluator.h"
#include "search/evaluators/study_bench.h"

namespace thimble::search::evaluators {
namespace {

class ShortDistillation final : public Evaluator {
 public:
  explicit ShortDistillation(StudyBench& bench) : bench_(bench) {}

  std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) override {
    return bench_.DistilRound(stage, round, stage.evaluator().short_distillation().epochs());
  }

 private:
  StudyBench& bench_;
};

}  // namespace

std::unique_ptr<Evaluator> short_distillation(StudyBench& bench) {
  return std::make_unique<ShortDistillation>(bench);
}

}  // namespace thimble::search::evaluators
