// Distance of projected student states and teacher states. Squared: Jiao et al., EMNLP Findings 2020,
// equations 8 and 9, with one projection for all layers as EfficientBERT has it, over real tokens only, or
// over padding, too, as the published code averages. Cosine: Sanh et al., 2019 (DistilBERT), section 3; on
// [CLS] of inner layers it is, but for a factor of 2, Sun et al., EMNLP 2019 (PKD), equation 7.
#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "distill/loss.h"
#include "distill/projections.h"
#include "distill/squared_error.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

using Spec = proto::HiddenStates;

bool Compares(const Spec& loss, int state, int layers) {
  switch (loss.states()) {
    case Spec::LAYERS:
      return state > 0;
    case Spec::INNER:
      return state > 0 && state < layers;
    case Spec::EMBEDDING:
      return state == 0;
    case Spec::LAST:
      return state == layers;
    case Spec::MIXER:
      return state > 0;  // of layer `state`
    default:
      return true;
  }
}

class HiddenStates final : public Loss {
 public:
  explicit HiddenStates(const Spec& spec) : spec_(spec) {}

  double Things(const models::Batch& batch) const override {
    return static_cast<double>(Compared(batch.mask).numel());
  }

  LossSum Compute(const LossInput& input) const override {
    const auto student = StatesOf(input.student_outputs), teacher = StatesOf(*input.teacher_outputs);
    const int64_t width = WidthOf(teacher);
    const bool projected = input.student.weights.Has("fit_dense.weight");
    const at::Tensor real = Compared(input.batch.mask);
    const auto rows = Pairs(real, projected, width);
    const auto layers = static_cast<int>(student.size()) - 1;
    LossSum loss = {{}, static_cast<double>(real.numel())};
    for (int i = 0; i <= layers; ++i) {
      if (!Compares(spec_, i, layers) || !input.ComparesLayer(std::max(0, i - 1))) continue;
      const auto layer = static_cast<size_t>(i == 0 ? 0 : input.layer_map[i - 1]);
      THIMBLE_CHECK(layer < teacher.size() && teacher[layer].defined(),
                    "the teacher's outputs lack hidden state " + std::to_string(layer));
      THIMBLE_CHECK(projected || student[i].size(2) == teacher[layer].size(2),
                    "a student of another width than its teacher's needs fit_dense");
      at::Tensor state = student[i].flatten(0, 1);
      if (projected) {
        if (real.numel() < state.size(0)) state = state.index_select(0, real);
        state = models::Linear(input.student, ProjectionOf(input.student.weights, i, spec_.own_projections()),
                               state);
      }
      const at::Tensor sum = Distance(state, teacher[layer].flatten(0, 1), rows, real, projected);
      loss.sum = loss.sum.defined() ? loss.sum + sum : sum;
    }
    if (!loss.sum.defined()) loss.sum = at::zeros({});  // the one layer that counts is not among its states
    if (spec_.distance() != Spec::COSINE) loss.sum = loss.sum / static_cast<double>(width);
    return loss;
  }

 private:
  // The embedding's first; no mixer has one there.
  std::vector<at::Tensor> StatesOf(const models::Outputs& outputs) const {
    if (spec_.states() != Spec::MIXER) return outputs.hidden_states;
    std::vector<at::Tensor> states = outputs.mixer_states;
    states.insert(states.begin(), at::Tensor());
    return states;
  }
  static int64_t WidthOf(const std::vector<at::Tensor>& states) {
    return std::find_if(states.begin(), states.end(), [](const at::Tensor& x) { return x.defined(); })
        ->size(2);
  }

  // The tokens looked at, as indices into B * T.
  at::Tensor Compared(const at::Tensor& mask) const {
    if (spec_.first_token()) return at::arange(mask.size(0)) * mask.size(1);
    return spec_.count_padding() ? at::arange(mask.numel()) : mask.flatten().nonzero().flatten();
  }

  // Of all states. The projection leaves out what is not compared (`packed`), so its rows are counted anew.
  std::shared_ptr<const RowPairs> Pairs(const at::Tensor& real, bool packed, int64_t width) const {
    if (spec_.distance() != Spec::SQUARED) return nullptr;
    auto rows = std::make_shared<RowPairs>();
    rows->weights = at::ones({1, width});
    const int64_t* row = real.const_data_ptr<int64_t>();
    for (int64_t n = 0; n < real.numel(); ++n) rows->pairs.push_back({packed ? n : row[n], row[n], 0});
    return rows;
  }

  // Summed over channels. `state` holds the rows `real` alone if `packed`; `teacher` holds all.
  at::Tensor Distance(const at::Tensor& state, const at::Tensor& teacher,
                      const std::shared_ptr<const RowPairs>& rows, const at::Tensor& real,
                      bool packed) const {
    if (spec_.distance() == Spec::SQUARED) return SquaredError(state, teacher, rows);
    const at::Tensor a = (packed ? state : state.index_select(0, real)).to(at::kFloat),
                     b = teacher.detach().index_select(0, real).to(at::kFloat);
    if (spec_.distance() == Spec::COSINE) return (1 - at::cosine_similarity(a, b, 1)).sum();
    const auto normalised = [&](const at::Tensor& x) {
      return at::layer_norm(x, {x.size(1)}, {}, {}, 1e-12);
    };
    return (normalised(a) - normalised(b)).square().sum();
  }

  const Spec spec_;
};

void Check(const proto::Loss& loss, const std::string& where, const models::ResolvedArchitecture& student,
           const models::ResolvedArchitecture& teacher) {
  if (loss.hidden_states().states() == Spec::MIXER) {
    if (loss.hidden_states().own_projections())
      throw BadRequest(where + ".own_projections", "states of mixers share one projection", "true", "false");
    for (const auto* shape : {&student, &teacher})
      if (shape->block_width() != shape->hidden)
        throw BadRequest(
            where + ".states", "mixers of layers with a bottleneck are not as wide as its states",
            std::to_string(shape->block_width()) + " and " + std::to_string(shape->hidden), "LAYERS");
  }
  if (loss.hidden_states().states() == Spec::INNER && student.layers.size() < 2)
    throw BadRequest(where + ".states", "the student has no layer before its last", "1 layer",
                     "ALL, LAYERS, EMBEDDING, LAST, MIXER");
}

}  // namespace

LossEntry hidden_states() {
  return {
      .hidden_states = true,
      .make = [](const proto::Loss& spec) -> std::unique_ptr<Loss> {
        return std::make_unique<HiddenStates>(spec.hidden_states());
      },
      .compares_state = [](const proto::Loss& spec, int state,
                           int layers) { return Compares(spec.hidden_states(), state, layers); },
      .mixer_states = [](const proto::Loss& spec) { return spec.hidden_states().states() == Spec::MIXER; },
      .own_projections = [](const proto::Loss& spec) { return spec.hidden_states().own_projections(); },
      .counts_padding = [](const proto::Loss& spec) { return spec.hidden_states().count_padding(); },
      .check = Check};
}

}  // namespace thimble::distill
