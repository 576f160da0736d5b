// KL(teacher || student) of the class distributions at a temperature, times its square, so that its gradient
// keeps the scale of the hard-label loss. Hinton et al., 2015, section 2. A regression head, of one output, has no distribution: there
// it is the squared difference to the teacher.
#include <torch/torch.h>

#include "base/error.h"
#include "distill/objective.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

class SoftLabels final : public Loss {
 public:
  explicit SoftLabels(const proto::SoftLabels& spec) : temperature_(spec.temperature()) {}

  LossSum Compute(const LossInput& input) const override {
    const at::Tensor& student = input.student_outputs.logits;
    const at::Tensor& teacher = input.teacher_outputs->logits;
    THIMBLE_CHECK(teacher.defined() && teacher.sizes() == student.sizes(),
                  "logits of student and teacher have different shapes");
    if (student.size(1) == 1) {
      const at::Tensor difference = student.to(torch::kFloat) - teacher.detach().to(torch::kFloat);
      return {difference.square().sum(), static_cast<double>(student.size(0))};
    }
    const at::Tensor q = torch::log_softmax(student.to(torch::kFloat) / temperature_, 1);
    const at::Tensor p = torch::log_softmax(teacher.detach().to(torch::kFloat) / temperature_, 1);
    const at::Tensor divergence = (p.exp() * (p - q)).sum() * (temperature_ * temperature_);
    return {divergence, static_cast<double>(student.size(0))};
  }

 private:
  const double temperature_;
};

}  // namespace

LossEntry soft_labels() {
  return {.logits = true, .make = [](const proto::Loss& spec) -> std::unique_ptr<Loss> {
            return std::make_unique<SoftLabels>(spec.soft_labels());
          }};
}

}  // namespace thimble::distill
