#include "distill/distributions.h"

#include <ATen/ATen.h>

#include "base/error.h"

namespace thimble::distill {
namespace {

// A logit of what must get nothing. Finite, so that p (log p - log q) is 0 there and not 0 times infinity.
constexpr double kNothing = -1e30;

}  // namespace

at::Tensor LogShares(const at::Tensor& logits, const at::Tensor& allowed) {
  return at::log_softmax(logits.to(at::kFloat).masked_fill(allowed == 0, kNothing), -1);
}

at::Tensor DivergenceTerms(const at::Tensor& log_student, const at::Tensor& log_teacher,
                           proto::Divergence divergence) {
  return divergence == proto::KL ? log_teacher.exp() * (log_teacher - log_student)
                                 : -log_teacher.exp() * log_student;
}

LossSum AttentionDivergence(const at::Tensor& student, const at::Tensor& teacher, const at::Tensor& mask,
                            proto::Divergence divergence) {
  THIMBLE_CHECK(student.sizes() == teacher.sizes(),
                "distributions of student and teacher have different shapes");
  const at::Tensor keys = mask.view({mask.size(0), 1, 1, mask.size(1)});
  const at::Tensor terms =
      DivergenceTerms(LogShares(student, keys), LogShares(teacher.detach(), keys), divergence);
  const at::Tensor queries = mask.to(at::kFloat).view({mask.size(0), 1, mask.size(1), 1});
  return {(terms * queries).sum(), mask.sum().item<double>() * static_cast<double>(student.size(1))};
}

}  // namespace thimble::distill
