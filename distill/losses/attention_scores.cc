// Squared distance of the raw attention scores, head by head. Jiao et al., EMNLP Findings 2020, equation 7,
// over pairs of real tokens only, or over padding, too, as the published code averages.
#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "distill/loss.h"
#include "distill/squared_error.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

class AttentionScores final : public Loss {
 public:
  explicit AttentionScores(bool count_padding) : count_padding_(count_padding) {}

  double Things(const models::Batch& batch) const override { return Pairs(batch.mask.to(at::kFloat)); }

  LossSum Compute(const LossInput& input) const override {
    const auto& student = input.student_outputs.attention_logits;
    const auto& teacher = input.teacher_outputs->attention_logits;
    const auto first =
        std::find_if(student.begin(), student.end(), [](const at::Tensor& x) { return x.defined(); });
    const int64_t heads = first->size(1), length = first->size(3);
    const at::Tensor mask = input.batch.mask.to(at::kFloat).contiguous();
    auto rows = Queries(mask, heads, length);
    int64_t heads_of_rows = heads;
    LossSum loss = {{}, Pairs(mask) * static_cast<double>(heads)};
    for (size_t i = 0; i < student.size(); ++i) {
      if (!input.ComparesLayer(static_cast<int>(i))) continue;
      const size_t layer = static_cast<size_t>(input.layer_map[i]) - 1;
      if (!student[i].defined() || !teacher[layer].defined()) continue;  // a mixer without scores
      THIMBLE_CHECK(layer < teacher.size() && teacher[layer].sizes() == student[i].sizes(),
                    "attention scores of student and teacher have different shapes");
      if (student[i].size(1) != heads_of_rows) {
        heads_of_rows = student[i].size(1);
        rows = Queries(mask, heads_of_rows, length);
      }
      at::Tensor sum =
          SquaredError(student[i].reshape({-1, length}), teacher[layer].reshape({-1, length}), rows);
      // A layer with fewer heads weighs as much as the first.
      if (heads_of_rows != heads)
        sum = sum * (static_cast<double>(heads) / static_cast<double>(heads_of_rows));
      loss.sum = loss.sum.defined() ? loss.sum + sum : sum;
    }
    if (!loss.sum.defined()) loss.sum = at::zeros({});  // the one layer that counts has none
    return loss;
  }

 private:
  // Of a query and a key, in one head.
  double Pairs(const at::Tensor& mask) const {
    return count_padding_ ? static_cast<double>(mask.numel() * mask.size(1))
                          : mask.sum(1).to(at::kDouble).square().sum().item<double>();
  }

  // Rows of [B, H, T, T] that belong to a query that is looked at; the keys are weighted by the mask.
  std::shared_ptr<const RowPairs> Queries(const at::Tensor& mask, int64_t heads, int64_t length) const {
    auto rows = std::make_shared<RowPairs>();
    rows->weights = mask;
    const float* real = mask.const_data_ptr<float>();
    for (int64_t b = 0; b < mask.size(0); ++b)
      for (int64_t head = 0; head < heads; ++head)
        for (int64_t query = 0; query < length; ++query) {
          const int64_t row = (b * heads + head) * length + query;
          if (count_padding_ || real[b * length + query] != 0) rows->pairs.push_back({row, row, b});
        }
    return rows;
  }

  const bool count_padding_;
};

}  // namespace

LossEntry attention_scores() {
  return {.attention_logits = true,
          .equal_heads = true,
          .make = [](const proto::Loss& spec) -> std::unique_ptr<Loss> {
            return std::make_unique<AttentionScores>(spec.attention_scores().count_padding());
          },
          .counts_padding = [](const proto::Loss& spec) { return spec.attention_scores().count_padding(); }};
}

}  // namespace thimble::distill
