// The sliced candidate, distilled on the task for a few epochs, side by side with those of its round.
#include <filesystem>

#include "base/files.h"
#include "base/hash.h"
#include "models/arch/architecture.h"
#include "search/evaluators/evaluator.h"
#include "search/evaluators/study_bench.h"

namespace thimble::search::evaluators {
namespace {

class ShortDistillation final : public Evaluator {
 public:
  explicit ShortDistillation(StudyBench& bench) : bench_(bench) {}

  std::vector<Score> Evaluate(const proto::Stage& stage, const std::vector<proto::Architecture>& candidates) override {
    std::vector<models::Model> students = bench_.TakeStudents(candidates);
    const auto& data = bench_.data;
    train::Job job = bench_.TrainingJob("stage " + stage.name() + ": distilling " + std::to_string(candidates.size()),
                                        bench_.Recipe(stage.evaluator().short_distillation().epochs()));
    job.members_threads = bench_.choices.members_threads;
    for (size_t i = 0; i < students.size(); ++i)
      job.members.push_back({.name = models::ArchitectureHash(candidates[i]),
                             .models = {&students[i]},
                             .seed = bench_.study().seed()});
    data.RequireInPlace();
    const EnsuredDirectory made(data.work);
    // Named by its members: an unfinished round is found again, another round's is never mistaken for it.
    std::string names;
    for (const auto& member : job.members) names += member.name;
    job.checkpoint = data.work + "/" + stage.name() + "-" + HashHex(names).substr(0, 12) + ".checkpoint";
    const auto begin = std::chrono::steady_clock::now();
    const auto results = train::Train(job);
    const double each = SecondsSince(begin) / static_cast<double>(students.size());
    bench_.AskTeacher();
    std::vector<Score> scores(students.size());
    for (size_t i = 0; i < students.size(); ++i) {
      scores[i] = results[i].failure.empty()
                      ? bench_.ToScore(bench_.EvaluateOnHoldout(students[i], nullptr), bench_.study().fitness())
                      : Failed(results[i].failure);
      scores[i].seconds = each;
    }
    std::filesystem::remove(job.checkpoint);
    return scores;
  }

 private:
  StudyBench& bench_;
};

}  // namespace

std::unique_ptr<Evaluator> short_distillation(StudyBench& bench) { return std::make_unique<ShortDistillation>(bench); }

}  // namespace thimble::search::evaluators
