// The sliced and refitted candidate as it is.
#include "search/evaluators/evaluator.h"
#include "search/evaluators/study_bench.h"

namespace thimble::search::evaluators {
namespace {

class Untrained final : public Evaluator {
 public:
  explicit Untrained(StudyBench& bench) : bench_(bench) {}

  std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) override {
    return bench_.Untrained("stage " + stage.name() + ": scoring", Architectures(round),
                            bench_.study().fitness());
  }

 private:
  StudyBench& bench_;
};

}  // namespace

std::unique_ptr<Evaluator> untrained(StudyBench& bench) { return std::make_unique<Untrained>(bench); }

}  // namespace thimble::search::evaluators
