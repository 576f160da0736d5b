#include "distill/distributions.h"

#include <torch/torch.h>

#include "base/error.h"

namespace thimble::distill {
namespace {

// A logit of what must get nothing. Finite, so that p (log p - log q) is 0 there and not 0 times infinity.
constexpr double kNothing = -1e30;

}  // namespace

at::Tensor LogShares(const at::Tensor& logits, const at::Tensor& mask) {
  const at::Tensor padded = (mask == 0).view({mask.size(0), 1, 1, mask.size(1)});
  return torch::log_softmax(logits.to(torch::kFloat).masked_fill(padded, kNothing), -1);
}

LossSum AttentionDivergence(const at::Tensor& student, const at::Tensor& teacher, const at::Tensor& mask,
                            proto::Divergence divergence) {
  THIMBLE_CHECK(student.sizes() == teacher.sizes(),
                "distributions of student and teacher have different shapes");
  const at::Tensor q = LogShares(student, mask), p = LogShares(teacher.detach(), mask);
  const at::Tensor each = divergence == proto::KL ? p.exp() * (p - q) : -p.exp() * q;
  const at::Tensor real = mask.to(torch::kFloat).view({mask.size(0), 1, mask.size(1), 1});
  return {(each * real).sum(), mask.sum().item<double>() * static_cast<double>(student.size(1))};
}

}  // namespace thimble::distill
