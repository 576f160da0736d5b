// Divergence of the attention distributions, head by head. Wang et al., NeurIPS 2020 (MiniLM), equation 4,
// there for the last layer alone.
#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "distill/distributions.h"
#include "distill/loss.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

// Of each layer its scores, or the logarithm of its kernel: a softmax gives the shares of either.
std::vector<at::Tensor> Shown(const models::Outputs& outputs) {
  std::vector<at::Tensor> shown = outputs.attention_logits;
  for (size_t i = 0; i < outputs.kernel_logits.size(); ++i)
    if (!shown[i].defined()) shown[i] = outputs.kernel_logits[i];
  return shown;
}

class AttentionDistributions final : public Loss {
 public:
  explicit AttentionDistributions(const proto::AttentionDistributions& spec)
      : divergence_(spec.divergence()), last_layer_(spec.last_layer()) {}

  double Things(const models::Batch& batch) const override { return batch.mask.sum().item<double>(); }

  LossSum Compute(const LossInput& input) const override {
    const std::vector<at::Tensor> student = Shown(input.student_outputs);
    const auto& teacher = input.teacher_outputs->attention_logits;
    LossSum loss;
    for (size_t i = last_layer_ ? student.size() - 1 : 0; i < student.size(); ++i) {
      if (!input.ComparesLayer(static_cast<int>(i))) continue;
      const size_t layer = static_cast<size_t>(input.layer_map[i]) - 1;
      THIMBLE_CHECK(layer < teacher.size(), "the teacher's outputs lack scores of a layer");
      if (!student[i].defined() || !teacher[layer].defined()) continue;  // a mixer without scores
      const auto part = AttentionDivergence(student[i], teacher[layer], input.batch.mask, divergence_);
      loss = {loss.sum.defined() ? loss.sum + part.sum : part.sum, part.count};
    }
    if (!loss.sum.defined()) {  // the one layer that counts is not the last, or has no scores
      const auto any =
          std::find_if(student.rbegin(), student.rend(), [](const at::Tensor& x) { return x.defined(); });
      loss = {at::zeros({}), input.batch.mask.sum().item<double>() * static_cast<double>(any->size(1))};
    }
    return loss;
  }

 private:
  const proto::Divergence divergence_;
  const bool last_layer_;
};

void Check(const proto::Loss& spec, const std::string& where, const models::ResolvedArchitecture&,
           const models::ResolvedArchitecture&) {
  if (spec.attention_distributions().divergence() == proto::AVERAGED_CROSS_ENTROPY)
    throw BadRequest(where + ".divergence", "averages over classes, which attention does not have",
                     "AVERAGED_CROSS_ENTROPY", "KL or CROSS_ENTROPY");
}

}  // namespace

LossEntry attention_distributions() {
  return {.attention_logits = true,
          .kernel_logits = true,
          .equal_heads = true,
          .make = [](const proto::Loss& spec) -> std::unique_ptr<Loss> {
            return std::make_unique<AttentionDistributions>(spec.attention_distributions());
          },
          .compares_layer =
              [](const proto::Loss& spec, int layer, int layers) {
                return !spec.attention_distributions().last_layer() || layer == layers - 1;
              },
          .check = Check};
}

}  // namespace thimble::distill
