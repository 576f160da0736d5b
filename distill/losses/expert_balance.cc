// That all experts are used: E times the sum over experts of the share of tokens that go there, which has no
// gradient, and their mean probability. Fedus et al., JMLR 2022 (Switch transformers), equation 4, over real
// tokens; the mean over blocks.
#include <ATen/ATen.h>

#include "base/error.h"
#include "distill/loss.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

class ExpertBalance final : public Loss {
 public:
  double Things(const models::Batch& batch) const override { return batch.mask.sum().item<double>(); }

  LossSum Compute(const LossInput& input) const override {
    const at::Tensor real = input.batch.mask.to(at::kFloat).unsqueeze(-1);  // [B, T, 1]
    const double tokens = Things(input.batch);
    at::Tensor sum;
    int64_t blocks = 0;
    for (const at::Tensor& layer : input.student_outputs.routing) {
      for (int64_t block = 0; layer.defined() && block < layer.size(0); ++block, ++blocks) {
        const at::Tensor shares = layer[block].to(at::kFloat);  // [B, T, E]
        THIMBLE_CHECK(shares.size(1) == real.size(1), "expert_balance of one token's routing");
        const int64_t experts = shares.size(2);
        const at::Tensor chosen = at::one_hot(shares.argmax(-1), experts).to(at::kFloat);
        // Where padding's probabilities are no numbers of this batch they have no say.
        const at::Tensor mean =
            at::where(real > 0, shares, at::zeros_like(shares)).sum(at::IntArrayRef({0, 1}));
        const at::Tensor balance =
            (chosen * real).sum(at::IntArrayRef({0, 1})).dot(mean) * (static_cast<double>(experts) / tokens);
        sum = sum.defined() ? sum + balance : balance;
      }
    }
    return {sum / static_cast<double>(blocks), tokens};
  }
};

}  // namespace

LossEntry expert_balance() {
  return {
      .teacher = false,
      .routing = true,
      .of_batch = true,
      .make = [](const proto::Loss&) -> std::unique_ptr<Loss> { return std::make_unique<ExpertBalance>(); }};
}

}  // namespace thimble::distill
