// What a member of a cohort says of its training while it runs, for TensorBoard.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "train/event_file.h"

namespace thimble::distill {
struct LossSum;
}

namespace thimble::train {

struct Epoch;
struct TrainingTask;

// Tags: loss (the objective), loss/NAME of each loss (unweighted), gradient_norm (before clipping) and
// learning_rate_factor (what the schedule makes of the rate) of about a thousand updates of a run; after each
// epoch epoch/loss (the mean) and, of the validation rows, where they are scored, TASK/loss, TASK/divergence
// and TASK/METRIC. A step is an update of the member, from 1.
class TrainingEvents {
 public:
  // `folder`: empty, and nothing is said. `done` of `steps` updates were made before; after none, files of an
  // earlier run are removed from the folder. Error (exit 1) if it cannot be written to, as of all calls.
  TrainingEvents(const std::string& folder, int64_t done, int64_t steps);

  bool Tells(int64_t step) const { return file_ && (step % stride_ == 0 || step == 1); }
  void Losses(int64_t step, double total, const std::vector<std::string>& names,
              const std::vector<distill::LossSum>& sums);
  void Update(int64_t step, double gradient_norm, double learning_rate_factor);
  // After the epoch that ended with update `step`.
  void EpochEnded(int64_t step, const Epoch& epoch, const std::vector<TrainingTask>& tasks);

 private:
  std::unique_ptr<EventFile> file_;
  int64_t stride_ = 1;
};

}  // namespace thimble::train
