// KL(teacher || student) of the class distributions (of masked text: over the vocabulary) at a temperature,
// times its square, so that its gradient keeps the scale of the hard-label loss. Hinton et al., 2015,
// section 2. A regression head, of one output, has no distribution: there it is the squared difference to the
// teacher. A span head has two, of where the answer starts and where it ends, over [CLS] and the passage: the
// mean of their divergences.
#include <ATen/ATen.h>

#include "base/error.h"
#include "distill/distributions.h"
#include "distill/loss.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

class SoftLabels final : public Loss {
 public:
  explicit SoftLabels(const proto::SoftLabels& spec)
      : temperature_(spec.temperature()), divergence_(spec.divergence()) {}

  double Things(const models::Batch& batch) const override { return AnswersIn(batch); }

  LossSum Compute(const LossInput& input) const override {
    const at::Tensor& student = input.student_outputs.logits;
    const at::Tensor& teacher = input.teacher_outputs->logits;
    THIMBLE_CHECK(teacher.defined() && teacher.sizes() == student.sizes(),
                  "logits of student and teacher have different shapes");
    if (student.dim() == 3) return Spans(student, teacher, input.batch.answer_mask);
    if (student.size(1) == 1) {
      const at::Tensor difference = student.to(at::kFloat) - teacher.detach().to(at::kFloat);
      return {difference.square().sum(), static_cast<double>(student.size(0))};
    }
    const at::Tensor q = at::log_softmax(student.to(at::kFloat) / temperature_, 1);
    const at::Tensor p = at::log_softmax(teacher.detach().to(at::kFloat) / temperature_, 1);
    const bool averaged = divergence_ == proto::AVERAGED_CROSS_ENTROPY;
    const double classes = averaged ? static_cast<double>(student.size(1)) : 1;
    return {DivergenceTerms(q, p, divergence_).sum() * (temperature_ * temperature_ / classes),
            static_cast<double>(student.size(0))};
  }

 private:
  // Logits [B, T, 2]; shares only of what can be an answer.
  LossSum Spans(const at::Tensor& student, const at::Tensor& teacher, const at::Tensor& places) const {
    THIMBLE_CHECK(places.defined(), "a span head without the places of answers");
    const auto log_shares = [&](const at::Tensor& logits) {
      return LogShares(logits.to(at::kFloat).transpose(1, 2) / temperature_, places.unsqueeze(1));
    };
    const double ends = divergence_ == proto::AVERAGED_CROSS_ENTROPY ? 1 : 2;
    const at::Tensor terms = DivergenceTerms(log_shares(student), log_shares(teacher.detach()), divergence_);
    return {terms.sum() * (temperature_ * temperature_ / ends), static_cast<double>(student.size(0))};
  }

  const double temperature_;
  const proto::Divergence divergence_;
};

}  // namespace

LossEntry soft_labels() {
  return {.logits = true, .make = [](const proto::Loss& spec) -> std::unique_ptr<Loss> {
            return std::make_unique<SoftLabels>(spec.soft_labels());
          }};
}

}  // namespace thimble::distill
