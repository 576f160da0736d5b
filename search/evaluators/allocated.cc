#include "search/evaluators/allocated.h"

#include <algorithm>
#include <mutex>
#include <numeric>

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "train/divergence.h"
#include "train/evaluate.h"
#include "train/threads.h"

namespace thimble::search {
namespace {

constexpr int kJudgeBatch = 32;
constexpr int kRound = 8;  // steps that are judged before the next ones are proposed

}  // namespace

CutDamages ToCutDamages(const distill::Damages& damages) {
  return {damages.heads, damages.neurons, damages.neuron_step};
}

Allocator::Allocator(const models::Model& teacher, const distill::SlicedStart& start,
                     const data::Dataset& judge, int threads, uint64_t seed)
    : teacher_(teacher),
      start_(start),
      judge_(judge),
      threads_(threads),
      seed_(seed),
      answers_(train::Logits(teacher, judge, kJudgeBatch)) {}

const models::Model& Allocator::Supernet(const StageSpace& space, const proto::Architecture& student) {
  const auto largest = LargestArchitecture(SectionOf(space.study().space(), student), space.context());
  const std::string key = CanonicalText(largest);
  if (const auto known = supernets_.find(key); known != supernets_.end()) return known->second;
  return supernets_.emplace(key, start_.MakeSupernet(largest, seed_, /*sort_heads=*/true)).first->second;
}

models::Model Allocator::Make(const StageSpace& space, const proto::Architecture& architecture,
                              distill::SlicedReport* report) {
  return start_.MakeCandidate(Supernet(space, architecture), architecture, report);
}

std::vector<AllocatedStudent> Allocator::Judge(const StageSpace& space,
                                               const std::vector<proto::Architecture>& candidates) {
  for (const auto& candidate : candidates) Supernet(space, candidate);  // before they are read side by side
  std::vector<AllocatedStudent> judged(candidates.size());
  Progress progress("judging allocations", static_cast<int64_t>(candidates.size()));
  std::mutex mutex;
  int done = 0;
  ParallelFor(candidates.size(), threads_, [&](size_t i) {
    if (InterruptRequested()) throw Interrupted();
    const train::TorchThreads one(1);
    AllocatedStudent& student = judged[i];
    student.architecture = candidates[i];
    student.cost = space.limits().back().cost(candidates[i]);
    student.row_divergences = train::Divergences(
        answers_, train::Logits(Make(space, candidates[i]), judge_, kJudgeBatch), teacher_);
    student.divergence =
        std::accumulate(student.row_divergences.begin(), student.row_divergences.end(), 0.0) /
        static_cast<double>(student.row_divergences.size());
    const std::lock_guard lock(mutex);
    progress.Update(++done);
  });
  return judged;
}

std::vector<AllocatedStudent> Allocator::Allocate(const StageSpace& space, const proto::Allocation& rules,
                                                  int steps) {
  StageInput input;
  input.damages = [this](int hidden) {
    Info("what heads and neurons are worth, at width " + std::to_string(hidden));
    return ToCutDamages(start_.DamagesAt(hidden));
  };
  proto::Strategy spec;
  *spec.mutable_allocation() = rules;
  const auto strategy = MakeStrategy(spec, space, Random(seed_), input);
  std::vector<AllocatedStudent> all;
  const auto judge = [&](const std::vector<proto::Architecture>& candidates) {
    std::vector<Trial> trials;
    for (auto& student : Judge(space, candidates)) {
      student.rule = strategy->Origin(student.architecture);
      trials.push_back({student.architecture, TrialState::kComplete, -student.divergence});
      all.push_back(std::move(student));
    }
    strategy->Observe(trials);
  };
  std::vector<proto::Architecture> by_rules;
  for (auto next = strategy->Suggest(1); !next.empty(); next = strategy->Suggest(1))
    by_rules.push_back(next[0]);
  judge(by_rules);
  for (int left = steps; left > 0 && !all.empty(); left -= kRound)
    judge(strategy->Suggest(std::min(left, kRound)));
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.divergence < b.divergence; });
  return all;
}

}  // namespace thimble::search
