// One supernet a stage, trained one random feasible candidate a step; candidates are scored with its weights.
#include "base/error.h"
#include "models/encoder/resolve.h"
#include "search/evaluators/evaluator.h"
#include "search/evaluators/study_bench.h"

namespace thimble::search::evaluators {
namespace {

class Supernet final : public Evaluator {
 public:
  explicit Supernet(StudyBench& bench) : bench_(bench) {}

  void Prepare(const proto::Stage& stage, const StageSpace& space) override {
    if (stage_ == stage.name()) return;
    // The stage's expressions at full size, cut from the study's supernet and refitted as any candidate is.
    const auto& study = bench_.study();
    const auto& base = space.base();
    auto largest = LargestArchitecture(SectionOf(study.space(), base), bench_.data.Context());
    bench_.Supernet(base);
    for (int i = 0; i < largest.layer_size(); ++i)
      if (base.layer(i).ffn().has_expression())
        largest.mutable_layer(i)->mutable_ffn()->set_expression(base.layer(i).ffn().expression());
    auto model = bench_.Student(largest);
    const Random random = Random(study.seed()).Fork("supernet views of " + stage.name());
    const auto view = [&space, random](int64_t step) {
      Random draw = random.Fork("step", static_cast<uint64_t>(step));
      const auto sampled = space.Sample(&draw);
      THIMBLE_CHECK(sampled.has_value(), "no feasible candidate to train the supernet with");
      return models::Resolve(*sampled);
    };
    bench_.TrainOnce("stage " + stage.name() + ": training the supernet", "stage-" + stage.name(),
                     bench_.Recipe(stage.evaluator().supernet().epochs()), bench_.data.train,
                     &bench_.data.task, &model, view);
    supernet_ = std::make_unique<models::Model>(std::move(model));
    stage_ = stage.name();
  }

  std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) override {
    const std::string what = "stage " + stage.name() + ": scoring";
    const auto architectures = Architectures(round);
    const auto fitness = bench_.study().fitness();
    if (stage.evaluator().supernet().refit() && bench_.sliced()) {
      const auto& start = bench_.Start();
      return bench_.EvaluateEach(what, architectures, fitness, [&](const proto::Architecture& architecture) {
        return bench_.EvaluateOnHoldout(start.MakeCandidate(*supernet_, architecture), nullptr);
      });
    }
    return bench_.EvaluateEach(what, architectures, fitness, [&](const proto::Architecture& architecture) {
      const auto shape = models::Resolve(architecture);
      return bench_.EvaluateOnHoldout(*supernet_, &shape);
    });
  }

 private:
  StudyBench& bench_;
  std::unique_ptr<models::Model> supernet_;  // trained on the task
  std::string stage_;                        // whose it is
};

}  // namespace

std::unique_ptr<Evaluator> supernet(StudyBench& bench) { return std::make_unique<Supernet>(bench); }

}  // namespace thimble::search::evaluators
