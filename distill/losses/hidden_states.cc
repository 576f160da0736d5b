// Distance of projected student states and teacher states. Squared: Jiao et al., EMNLP Findings 2020,
// equations 8 and 9, with one projection for all layers as EfficientBERT has it, over real tokens only (the
// published code averages over padding, too). Cosine: Sanh et al., 2019 (DistilBERT), section 3; on [CLS] of
// inner layers it is, but for a factor of 2, Sun et al., EMNLP 2019 (PKD), equation 7.
#include <torch/torch.h>

#include "base/error.h"
#include "distill/objective.h"
#include "distill/squared_error.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

using Spec = proto::HiddenStates;

// Which of the student's `count` states, embedding output first.
std::vector<size_t> Chosen(Spec::States states, size_t count) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < count; ++i) {
    const bool embedding = i == 0, last = i + 1 == count;
    const bool taken = states == Spec::ALL || (states == Spec::LAYERS && !embedding) ||
                       (states == Spec::INNER && !embedding && !last) ||
                       (states == Spec::EMBEDDING && embedding) || (states == Spec::LAST && last);
    if (taken) chosen.push_back(i);
  }
  return chosen;
}

class HiddenStates final : public Loss {
 public:
  explicit HiddenStates(const Spec& spec) : spec_(spec) {}

  LossSum Compute(const LossInput& input) const override {
    const auto& student = input.student_outputs.hidden;
    const auto& teacher = input.teacher_outputs->hidden;
    const bool projected = input.student.weights.Has("fit_dense.weight");
    const at::Tensor real = Compared(input.batch.mask);
    LossSum loss = {{}, static_cast<double>(real.numel())};
    for (const size_t i : Chosen(spec_.states(), student.size())) {
      const size_t layer = i == 0 ? 0 : static_cast<size_t>(input.layer_map[i - 1]);
      THIMBLE_CHECK(layer < teacher.size() && teacher[layer].defined(),
                    "the teacher's outputs lack hidden state " + std::to_string(layer));
      THIMBLE_CHECK(projected || student[i].size(2) == teacher[layer].size(2),
                    "a student of another width than its teacher's needs fit_dense");
      at::Tensor state = student[i].flatten(0, 1);
      const bool all = real.numel() == state.size(0);
      // The projection leaves out what is not compared, so its rows are counted anew.
      if (projected) {
        if (!all) state = state.index_select(0, real);
        state = models::Linear(input.student, "fit_dense", state);
      }
      const at::Tensor sum = Distance(state, teacher[layer].flatten(0, 1), real, projected);
      loss.sum = loss.sum.defined() ? loss.sum + sum : sum;
    }
    return loss;
  }

 private:
  // The tokens looked at, as indices into B * T.
  at::Tensor Compared(const at::Tensor& mask) const {
    if (spec_.first_token()) return torch::arange(mask.size(0)) * mask.size(1);
    return mask.flatten().nonzero().flatten();
  }

  // `state` holds the rows `real` alone if `packed`; `teacher` holds all.
  at::Tensor Distance(const at::Tensor& state, const at::Tensor& teacher, const at::Tensor& real,
                      bool packed) const {
    const int64_t width = teacher.size(1);
    if (spec_.distance() == Spec::SQUARED) {
      auto rows = std::make_shared<RowPairs>();
      rows->weights = torch::ones({1, width});
      const int64_t* row = real.const_data_ptr<int64_t>();
      for (int64_t n = 0; n < real.numel(); ++n) rows->pairs.push_back({packed ? n : row[n], row[n], 0});
      return SquaredError(state, teacher, rows) / static_cast<double>(width);
    }
    const at::Tensor a = (packed ? state : state.index_select(0, real)).to(torch::kFloat),
                     b = teacher.detach().index_select(0, real).to(torch::kFloat);
    if (spec_.distance() == Spec::COSINE) return (1 - torch::cosine_similarity(a, b, 1)).sum();
    const auto normalised = [&](const at::Tensor& x) { return torch::layer_norm(x, {width}, {}, {}, 1e-12); };
    return (normalised(a) - normalised(b)).square().sum() / static_cast<double>(width);
  }

  const Spec spec_;
};

void Check(const proto::Loss& loss, const std::string& where, const models::Shape& student,
           const models::Shape&) {
  if (loss.hidden_states().states() == Spec::INNER && student.layers.size() < 2)
    throw BadRequest(where + ".states", "the student has no layer before its last", "1 layer",
                     "ALL, LAYERS, EMBEDDING, LAST");
}

}  // namespace

LossEntry hidden_states() {
  return {.hidden = true,
          .make = [](const proto::Loss& spec) -> std::unique_ptr<Loss> {
            return std::make_unique<HiddenStates>(spec.hidden_states());
          },
          .check = Check};
}

}  // namespace thimble::distill
