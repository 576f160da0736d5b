// What evaluators and filters score candidates with: students cut out of the study's supernet, the teacher's
// outputs on its rows, scores on the held-out ones. Not thread-safe; but once Supernet and TeacherOnHoldout
// have been called, Student and EvaluateOnHoldout may run side by side.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "distill/start/sliced.h"
#include "models/model.h"
#include "search/controller.h"
#include "search/evaluators/choices.h"
#include "search/evaluators/study_data.h"
#include "train/cohort.h"
#include "train/evaluate.h"
#include "train/teacher_cache.h"

namespace thimble::search {

// After an epoch of a round, of each candidate that goes on.
struct Standing {
  int epoch = 0;               // how many are done
  std::vector<double> scores;  // NaN: it has none
  std::vector<bool> controls;  // there to be compared with
};

class StudyBench {
 public:
  StudyBench(const proto::Study& study, const std::string& directory, const proto::Deployment& deployment)
      : data(study, directory, deployment), deployment(deployment) {}

  const StudyData data;
  proto::Deployment deployment;
  Choices choices;

  const proto::Study& study() const { return data.study; }
  bool sliced() const { return study().warmup().has_sliced(); }

  // --- study_bench.cc: what candidates come from, and how they are trained ---

  // The recipe of every candidate, in the chosen precision.
  proto::Recipe Recipe(int epochs) const;
  // A candidate has as many, whoever else is in its round: sums are rounded differently with another number.
  int ThreadsOfOne() const;

  const distill::SlicedStart& Start();
  // The supernet of the section that `candidate` is of, warmed up; made once, then read from disk.
  const models::Model& Supernet(const proto::Architecture& candidate);
  // Cut from its Supernet, which has been made, and refitted.
  models::Model Student(const proto::Architecture& architecture, distill::SlicedReport* report = nullptr);

  // On the study's training rows, towards its teacher; without members.
  train::Job TrainingJob(const std::string& what, const proto::Recipe& recipe);
  // Trains `model` unless its result lies in work/NAME.safetensors already; a kill in between resumes from
  // the checkpoint. `labels`: the task; nullptr: text.
  void TrainOnce(const std::string& what, const std::string& name, const proto::Recipe& recipe,
                 const data::Dataset& rows, const data::TaskEntry* labels, models::Model* model,
                 std::function<models::ResolvedArchitecture(int64_t)> view);

  // The teacher's outputs on the rows, made once for all candidates; nullptr: too large.
  const train::TeacherCache* TeacherOnTrain() { return TeacherOn(data.train, &train_cache_); }
  const train::TeacherCache* TeacherOnHoldout() { return TeacherOn(data.holdout, &holdout_cache_); }

  // --- study_round.cc: a round that is trained side by side ---

  // Who leaves a round after an epoch: positions among those that go on. Pure.
  using Leavers = std::function<std::vector<size_t>(const Standing&)>;
  // Scores of students that are distilled side by side, each on the schedule of `epochs`; a kill in between
  // resumes from a checkpoint. Without `leavers` all stay to the end.
  std::vector<Score> DistilRound(const proto::Stage& stage, const Round& round, int epochs,
                                 const Leavers& leavers = {});

  // --- study_scores.cc: what they score ---

  // What the teacher says of the held-out rows (logits), where candidates are compared by it; nullptr: they
  // are not. Before scores are made side by side.
  const std::vector<std::vector<double>>* AskTeacher(proto::Fitness fitness);

  // The teacher's scores on the held-out rows, without the objective's losses; made once. `answers`: with its
  // logits.
  const train::Evaluation& TeacherEvaluation(bool answers = false);
  // `candidate`: the view of a supernet; nullptr: all of it.
  train::Evaluation EvaluateOnHoldout(const models::Model& model,
                                      const models::ResolvedArchitecture* candidate);
  // Scores candidates side by side; says how long each took.
  std::vector<Score> ScoreEach(const std::string& what, const std::vector<proto::Architecture>& candidates,
                               const std::function<Score(const proto::Architecture&)>& score);
  std::vector<Score> EvaluateEach(
      const std::string& what, const std::vector<proto::Architecture>& candidates, proto::Fitness fitness,
      const std::function<train::Evaluation(const proto::Architecture&)>& evaluate);
  // Scores of students as they are cut; TakeStudents has these students.
  std::vector<Score> Untrained(const std::string& what, const std::vector<proto::Architecture>& candidates,
                               proto::Fitness fitness);
  Score ToScore(const train::Evaluation& evaluation, proto::Fitness fitness) const;
  // The students that were scored untrained last, where they are of these architectures, or new ones.
  // Refitting takes seconds; those of the filter are used up.
  std::vector<models::Model> TakeStudents(const std::vector<Candidate>& candidates);

 private:
  struct Cached {
    bool decided = false;
    std::unique_ptr<train::TeacherCache> cache;
  };
  const train::TeacherCache* TeacherOn(const data::Dataset& rows, Cached* cached);

  std::unique_ptr<distill::SlicedStart> start_;
  std::map<std::string, models::Model> supernets_;  // by section
  Cached train_cache_, holdout_cache_;
  std::optional<train::Evaluation>
      teacher_;  // on the held-out rows; with its logits where scores are divergences from them
  std::map<std::string, models::Model> untrained_;  // by canonical text
};

double SecondsSince(std::chrono::steady_clock::time_point begin);
Score Failed(const std::string& reason);

}  // namespace thimble::search
