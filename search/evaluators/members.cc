#include "search/evaluators/members.h"

#include <algorithm>
#include <cmath>

#include "search/evaluator.h"

namespace thimble::search {
namespace {

using models::Model;

// Seconds of one update of `members` copies of `student`, `members_threads` of them at a time. By the
// labels alone: a teacher's pass is the same for all.
double UpdateSeconds(const StudyBench& bench, const Model& student, const proto::Recipe& recipe, int members,
                     int members_threads) {
  const auto update =
      static_cast<size_t>(recipe.batching().size()) * static_cast<size_t>(recipe.accumulate());
  const data::Dataset rows = bench.data.train.Slice(0, std::min(update, bench.data.train.examples.size()));
  std::vector<Model> students;
  for (int i = 0; i < members; ++i) students.push_back(models::CropCandidate(student, student.architecture));
  train::Job job;
  job.what = "measuring how students step";
  job.recipe = recipe;
  job.deployment = bench.deployment;
  job.sources[0].train = &rows;
  job.sources[0].task = &bench.data.task;
  job.members_threads = members_threads;
  for (Model& each : students)
    job.members.push_back(
        {.name = std::to_string(job.members.size()), .models = {&each}, .seed = bench.study().seed()});
  const auto begin = std::chrono::steady_clock::now();
  train::Train(job);
  return SecondsSince(begin);
}

}  // namespace

int MeasureMembers(const StudyBench& bench, bool bfloat16) {
  const auto& study = bench.study();
  int largest = 0;  // cohort
  for (const auto& stage : study.stage())
    if (EntryOf(stage.evaluator()).trains_cohorts)
      largest = std::max(largest, std::min(RoundSize(stage, 0), stage.trials()));
  const int cores = train::Threads(bench.deployment);
  if (largest == 0) return cores;  // candidates are scored only, each on its own
  const int members = std::min(cores, largest);
  if (members < 2) return 1;
  proto::Recipe recipe = bench.Recipe(1);
  recipe.set_precision(bfloat16 ? proto::BFLOAT16 : proto::FLOAT32);
  recipe.clear_objective();
  recipe.mutable_objective()->add_loss()->mutable_hard_labels();
  const auto context = bench.data.Context();
  const Model student =
      models::MakeModel(SeedArchitecture(study.space(), context), context.classes, 0,
                        Random(study.seed()).Fork("measured"), bench.data.teacher.model.head);
  double together = HUGE_VAL, in_turn = HUGE_VAL;
  for (int i = 0; i < 3; ++i) {  // the best of each, alternating: a machine's speed wanders
    together = std::min(together, UpdateSeconds(bench, student, recipe, members, members));
    in_turn = std::min(in_turn, UpdateSeconds(bench, student, recipe, members, 1));
  }
  // Near a tie the same answer every time, whatever the clock says.
  return in_turn < 0.9 * together ? 1 : members;
}

}  // namespace thimble::search
