// Cross-entropy with the labels of the data; of a regression head, the squared difference to them.
#include <torch/torch.h>

#include "distill/objective.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

class HardLabels final : public Loss {
 public:
  LossSum Compute(const LossInput& input) const override {
    if (input.batch.labels.is_floating_point()) {
      const at::Tensor difference = input.student_outputs.logits.to(torch::kFloat).squeeze(1) - input.batch.labels;
      return {difference.square().sum(), static_cast<double>(difference.size(0))};
    }
    const at::Tensor q = torch::log_softmax(input.student_outputs.logits.to(torch::kFloat), 1);
    const at::Tensor of_label = q.gather(1, input.batch.labels.unsqueeze(1));
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
