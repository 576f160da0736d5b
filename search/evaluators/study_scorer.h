// Everything a study needs to score candidates: teacher, tokenized data, sliced start, warmed-up supernet.
// The Scorer of search/controller.h, with LibTorch.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "search/controller.h"
#include "search/evaluators/choices.h"

namespace thimble::models {
struct Model;
struct Pretrained;
}  // namespace thimble::models
namespace thimble::data {
struct Dataset;
struct TaskEntry;
}  // namespace thimble::data
namespace thimble::distill {
struct SlicedReport;
}
namespace thimble::proto {
class Deployment;
class Recipe;
}  // namespace thimble::proto

namespace thimble::search {

class StudyScorer final : public Scorer {
 public:
  // Loads teacher and data. Errors (exit 2) before any work: no teacher, no head, another class count, bad
  // rows, a head count that the objective cannot use. `directory` is the study's: warm-up weights and
  // checkpoints lie in directory/work.
  StudyScorer(const proto::Study& study, const std::string& directory, const proto::Deployment& deployment);
  ~StudyScorer() override;

  SpaceContext context() const;
  const models::Pretrained& teacher() const;
  const data::TaskEntry& task() const;
  const data::Dataset& train() const;    // training rows without the held-out ones
  const data::Dataset& holdout() const;  // what candidates are ranked on
  int max_length() const;  // tokens of a row: the recipe's; where it does not say, the teacher's

  // What reports say of the study, JSON objects: {"accuracy": {"value": 0.86, "standard_error": 0.02}} of the
  // teacher on the held-out rows, and what study_summary.h says of both sets of rows.
  std::string TeacherSummary();
  std::string DataSummary() const;

  // This machine's choices. Where the study trains cohorts and there are several cores, a small one is timed.
  Choices Measure() const;
  void Use(const Choices& choices);

  search::Inputs Inputs() const override;
  CutDamages Damages(int hidden) override;
  void Prepare(const proto::Stage& stage, const StageSpace& space) override;
  std::vector<double> Filter(const proto::Stage& stage,
                             const std::vector<proto::Architecture>& candidates) override;
  std::optional<proto::Architecture> Ready() override;
  std::vector<Score> Evaluate(const proto::Stage& stage, const Round& round) override;
  using Scorer::Evaluate;

  // A candidate as the study starts it: cropped from the warmed-up supernet and refitted. It has fit_dense.
  models::Model Student(const proto::Architecture& architecture, distill::SlicedReport* report = nullptr);
  // The candidates' untrained scores on the held-out rows.
  std::vector<Score> Untrained(const std::vector<proto::Architecture>& candidates);
  // Distils `student` on the task with the study's recipe for `epochs`, resuming from `checkpoint` if it is
  // there. `events`: folder of what it says to TensorBoard (train/training_events.h).
  void Distil(models::Model* student, int epochs, const std::string& checkpoint, const std::string& events);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace thimble::search
