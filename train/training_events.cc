#include "train/training_events.h"

#include <algorithm>
#include <filesystem>

#include "distill/loss.h"
#include "train/cohort.h"

namespace thimble::train {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kUpdatesTold = 1000;

}  // namespace

TrainingEvents::TrainingEvents(const std::string& folder, int64_t done, int64_t steps)
    : stride_(std::max<int64_t>(1, steps / kUpdatesTold)) {
  if (folder.empty()) return;
  if (done == 0 && fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().filename().string().starts_with(kEventFiles)) fs::remove(entry.path());
  file_ = std::make_unique<EventFile>(folder, done + 1);
}

void TrainingEvents::Losses(int64_t step, double total, const std::vector<std::string>& names,
                            const std::vector<distill::LossSum>& sums) {
  file_->Scalar("loss", step, total);
  for (size_t i = 0; i < names.size(); ++i)
    if (sums[i].sum.defined() && sums[i].count > 0)
      file_->Scalar("loss/" + names[i], step, sums[i].sum.item<double>() / sums[i].count);
}

void TrainingEvents::Update(int64_t step, double gradient_norm, double learning_rate_factor) {
  file_->Scalar("gradient_norm", step, gradient_norm);
  file_->Scalar("learning_rate_factor", step, learning_rate_factor);
  file_->Flush();
}

void TrainingEvents::EpochEnded(int64_t step, const Epoch& epoch, const std::vector<TrainingTask>& tasks) {
  if (!file_) return;
  file_->Scalar("epoch/loss", step, epoch.train_loss);
  for (size_t i = 0; i < epoch.validations.size(); ++i) {
    const Evaluation& scored = epoch.validations[i];
    const std::string task = tasks[i].task != nullptr ? tasks[i].task->name + "/" : "";
    for (const auto& metric : scored.metrics) file_->Scalar(task + metric.name, step, metric.value);
    if (!scored.losses.empty()) file_->Scalar(task + "loss", step, scored.loss);
    if (scored.divergence) file_->Scalar(task + "divergence", step, scored.divergence->mean);
  }
  file_->Flush();
}

}  // namespace thimble::train
