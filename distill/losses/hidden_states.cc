// Squared distance of projected student states and teacher states, embedding output included. Jiao et al.,
// EMNLP Findings 2020, equations 8 and 9, with one projection for all layers as EfficientBERT has it, over
// real tokens only (the published code averages over padding, too).
#include <torch/torch.h>

#include "base/error.h"
#include "distill/objective.h"
#include "distill/squared_error.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

class HiddenStates final : public Loss {
 public:
  LossSum Compute(const LossInput& input) const override {
    const auto& student = input.student_outputs.hidden;
    const auto& teacher = input.teacher_outputs->hidden;
    const int64_t width = teacher[0].size(2);
    const bool projected = input.student.weights.Has("fit_dense.weight");
    THIMBLE_CHECK(projected || student[0].size(2) == width,
                  "a student of another width than its teacher's needs fit_dense");
    const at::Tensor real = input.batch.mask.flatten().nonzero().flatten();
    const bool padded = real.numel() < input.batch.mask.numel();

    auto rows = std::make_shared<RowPairs>();
    rows->weights = torch::ones({1, width});
    const int64_t* row = real.const_data_ptr<int64_t>();
    // The projection leaves padding out, so its rows are counted anew.
    for (int64_t n = 0; n < real.numel(); ++n) rows->pairs.push_back({projected ? n : row[n], row[n], 0});

    LossSum loss = {{}, static_cast<double>(real.numel())};
    for (size_t i = 0; i < student.size(); ++i) {
      const size_t layer = i == 0 ? 0 : static_cast<size_t>(input.layer_map[i - 1]);
      THIMBLE_CHECK(layer < teacher.size(),
                    "the teacher's outputs lack hidden state " + std::to_string(layer));
      at::Tensor state = student[i].flatten(0, 1);
      if (projected) {
        if (padded) state = state.index_select(0, real);
        state = models::Linear(input.student, "fit_dense", state);
      }
      const at::Tensor sum = SquaredError(state, teacher[layer].flatten(0, 1), rows);
      loss.sum = loss.sum.defined() ? loss.sum + sum : sum;
    }
    loss.sum = loss.sum / static_cast<double>(width);
    return loss;
  }
};

}  // namespace

LossEntry hidden_states() {
  return {.hidden = true, .make = [](const proto::Loss&) -> std::unique_ptr<Loss> {
            return std::make_unique<HiddenStates>();
          }};
}

}  // namespace thimble::distill
