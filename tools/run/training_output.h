// Where a training run that ends in a directory keeps what it needs meanwhile, and how its result gets there.
#pragma once
#include <functional>
#include <string>

namespace thimble::tools {

class TrainingOutput {
 public:
  explicit TrainingOutput(const std::string& directory);

  // Beside the directory, until Write: of the member's training (train::Job::checkpoint,
  // train::Member::events), and what may be made again, the teachers' outputs and text as tokens.
  std::string checkpoint() const { return beside_ + ".checkpoint"; }
  std::string events() const { return beside_ + ".events"; }
  std::string teacher_cache() const { return beside_ + ".checkpoint.teacher"; }
  std::string text_cache() const { return beside_ + ".checkpoint.text"; }

  // `fill` writes into an empty directory out of sight; then it is there in one step, what the run said to
  // TensorBoard in its folder `events`, and what lay beside it is removed. Error (exit 1).
  void Write(const std::function<void(const std::string& working)>& fill) const;
  // After a run that failed: a checkpoint would only fail at the same step again, and stand in another
  // recipe's way.
  void DropCheckpoint() const;

 private:
  std::string directory_, beside_;
};

}  // namespace thimble::tools
