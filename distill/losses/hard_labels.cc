// Cross-entropy with the labels of the data, or with the masked tokens of masked text; of a regression head,
// the squared difference to them; of a span head, the mean over start and end, each among the real tokens of
// its window (as run_squad.py, which has padding take part, too).
#include <ATen/ATen.h>

#include <cmath>

#include "distill/loss.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

class HardLabels final : public Loss {
 public:
  double Things(const models::Batch& batch) const override { return AnswersIn(batch); }

  LossSum Compute(const LossInput& input) const override {
    if (input.batch.labels.is_floating_point()) {
      const at::Tensor difference =
          input.student_outputs.logits.to(at::kFloat).squeeze(1) - input.batch.labels;
      return {difference.square().sum(), static_cast<double>(difference.size(0))};
    }
    if (input.student_outputs.logits.dim() == 3) {
      // [B, 2, T]: padding is out of the distribution.
      const at::Tensor padding = (input.batch.mask == 0).unsqueeze(1);
      const at::Tensor logits = input.student_outputs.logits.to(at::kFloat).transpose(1, 2);
      const at::Tensor q = at::log_softmax(logits.masked_fill(padding, -INFINITY), 2);
      const at::Tensor of_label = q.gather(2, input.batch.labels.unsqueeze(2));
      return {-of_label.sum() / 2, static_cast<double>(q.size(0))};
    }
    const at::Tensor q = at::log_softmax(input.student_outputs.logits.to(at::kFloat), 1);
    at::Tensor labels = input.batch.labels;
    if (labels.dim() == 2)
      labels = labels.masked_select(labels >= 0);  // masked tokens, as the logits are ordered
    const at::Tensor of_label = q.gather(1, labels.unsqueeze(1));
    return {-of_label.sum(), static_cast<double>(q.size(0))};
  }
};

}  // namespace

LossEntry hard_labels() {
  return {.logits = true,
          .labels = true,
          .teacher = false,
          .make = [](const proto::Loss&) -> std::unique_ptr<Loss> { return std::make_unique<HardLabels>(); }};
}

}  // namespace thimble::distill
