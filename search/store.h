// Trials on disk: SQLite in Optuna's RDB schema (revision v3.2.0.a), WAL, every write one transaction.
// optuna-dashboard and Optuna's Python API open the file unchanged. Each stage of a study is one Optuna study
// named "study/STAGE", wherever the file lies. Files of earlier versions have the name of the study's
// directory before the slash: what is there goes on under the name it has. Of several (the directory was
// renamed, and the search began anew) the one begun last.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "search/strategy.h"

namespace thimble::search {

struct StoredTrial {
  int number = 0;  // from 0 within the stage
  int round = 0;
  Trial trial;
  int64_t deployed_parameters = 0;
  double filter_score = 0;           // NaN: the stage has no filter
  std::vector<float> rows{};         // Score.rows
  std::vector<EpochScore> epochs{};  // Score.epochs; of a trial with its repeats those of the first run
  std::string metrics;               // JSON object: metric and loss names to values
  std::string reason;                // of a failure
  double seconds = 0;  // what evaluating it took (latency and times are left out of comparisons of two runs)
  int left_after = 0;  // epochs, of one that left its round (TrialState::kLeft)
  int again_of = -1;  // number of the trial that this one repeats with other random numbers; -1: it is none's
  int runs = 1;       // of a trial with its repeats (Folded): what its value and rows are the means of
};

class Store {
 public:
  // Opens or creates the file. Error (exit 2) if it is no SQLite file, or one of another schema.
  explicit Store(const std::string& path);
  ~Store();

  // Finds it by the stage's name alone.
  int OpenStage(const std::string& stage);  // Optuna study id; created if new, direction MAXIMIZE
  std::optional<int> FindStage(const std::string& stage) const;  // creates nothing

  // Facts decided once (user attributes of the stage's Optuna study): precision, threads, finished.
  void SetFact(int stage, const std::string& key, const std::string& value);
  std::optional<std::string> Fact(int stage, const std::string& key) const;

  // A round: all its trials in one transaction, so a kill leaves a round whole or absent. Stacks and ratio
  // are categorical parameters ("layer0/stacks", ...) where the stage varies them; expressions are user
  // attributes ("layer0/expression"). Error (exit 1) if the first number does not follow the stored ones:
  // another process has written; or if the file was moved or removed meanwhile.
  void AppendRound(int stage, const std::vector<StoredTrial>& trials, const proto::Stage& spec,
                   const proto::Space& space);
  std::vector<StoredTrial> Trials(int stage) const;  // in number order

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace thimble::search
