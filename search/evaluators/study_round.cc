#include <cmath>
#include <filesystem>
#include <numeric>

#include "base/files.h"
#include "base/hash.h"
#include "models/arch/architecture.h"
#include "search/evaluators/study_bench.h"

namespace thimble::search {
namespace {

// What tells the name of a candidate that is trained once more from its first.
std::string Repeat(const Round& round) { return round.repeat == 0 ? "" : "-" + std::to_string(round.repeat); }

}  // namespace

std::vector<Score> StudyBench::DistilRound(const proto::Stage& stage, const Round& round, int epochs,
                                           const Leavers& leavers) {
  const auto& candidates = round.candidates;
  std::vector<models::Model> students = TakeStudents(candidates);
  proto::Recipe recipe = Recipe(epochs);
  const auto seed = [&](uint64_t first) {
    return round.repeat == 0 ? first : Random(first).Fork("again", round.repeat).Next();
  };
  recipe.set_seed(seed(recipe.seed()));
  train::Job job =
      TrainingJob("stage " + stage.name() + ": distilling " + std::to_string(candidates.size()), recipe);
  job.members_threads = choices.members_threads;
  std::string names;
  for (size_t i = 0; i < students.size(); ++i) {
    const std::string name =
        models::ArchitectureHash(candidates[i].architecture) + (candidates[i].ready ? "-ready" : "");
    job.members.push_back({.name = name,
                           .models = {&students[i]},
                           .seed = seed(study().seed()),
                           .events = data.Events(stage.name() + "/" + name + Repeat(round))});
    names += name + Repeat(round);
  }
  const auto after_last_epoch = [&](const train::MemberResult& result) {
    return ToScore(result.epochs.back().validations[0], study().fitness());
  };
  if (leavers) {
    job.sources[0].validate = &data.holdout;
    job.sources[0].validate_cache = TeacherOnHoldout();
    job.sources[0].validate_logits = AskTeacher(study().fitness());
    job.prune = [&](const std::vector<train::MemberResult>& members, const std::vector<size_t>& going_on) {
      Standing standing;
      for (const size_t i : going_on) {
        standing.epoch = static_cast<int>(members[i].epochs.size());
        standing.scores.push_back(after_last_epoch(members[i]).value);
        standing.controls.push_back(candidates[i].control);
      }
      std::vector<size_t> leaving;
      for (const size_t k : leavers(standing)) leaving.push_back(going_on[k]);
      return leaving;
    };
  }
  data.RequireInPlace();
  const EnsuredDirectory made(data.work);
  // Named by its members: an unfinished round is found again, another round's is never mistaken for it.
  job.checkpoint = data.work + "/" + stage.name() + "-" + HashHex(names).substr(0, 12) + ".checkpoint";
  const auto begin = std::chrono::steady_clock::now();
  const auto results = train::Train(job);
  const double seconds = SecondsSince(begin);
  const double steps =
      std::accumulate(results.begin(), results.end(), 0.0,
                      [](double sum, const auto& result) { return sum + static_cast<double>(result.steps); });
  AskTeacher(study().fitness());
  std::vector<Score> scores;
  for (size_t i = 0; i < students.size(); ++i) {
    const train::MemberResult& result = results[i];
    // Where some leave, the score is the one that they were compared by, to the bit.
    scores.push_back(!result.failure.empty() ? Failed(result.failure)
                     : leavers               ? after_last_epoch(result)
                               : ToScore(EvaluateOnHoldout(students[i], nullptr), study().fitness()));
    for (const auto& epoch : result.epochs)
      scores.back().epochs.push_back(
          {.loss = epoch.train_loss,
           .score = leavers ? ToScore(epoch.validations[0], study().fitness()).value : std::nan("")});
    if (result.pruned) scores.back().left_after = static_cast<int>(result.epochs.size());
    // An epoch keeps no rows: those that stayed are compared in pairs.
    else if (leavers && result.failure.empty())
      scores.back().rows = ToScore(EvaluateOnHoldout(students[i], nullptr), study().fitness()).rows;
    scores.back().seconds = steps > 0 ? seconds * static_cast<double>(result.steps) / steps : 0;
  }
  std::filesystem::remove(job.checkpoint);
  return scores;
}

}  // namespace thimble::search
