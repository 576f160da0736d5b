// Small models and batches.
#pragma once
#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/config.h"
#include "models/model.h"

namespace thimble::models {

inline proto::Architecture Architecture(const std::string& text) {
  proto::Architecture architecture;
  ParseText(text, "test", &architecture);
  return architecture;
}

inline std::string LayerText(const std::string& expression, int stacks = 1, const std::string& ratio = "1") {
  return " layer { mixer { self_attention {} } ffn { expression: '" + expression +
         "' stacks: " + std::to_string(stacks) + " ratio: '" + ratio + "' } }";
}

constexpr char kGeluBlock[] = "linear(gelu(linear(x,wb1)),wb2)";
constexpr char kTrigram[] =
    "vocabulary: 50 positions: 20 hidden: 12 heads: 3 embedding { trigram { width: 5 } }";
constexpr char kFactorised[] =
    "vocabulary: 50 positions: 20 hidden: 12 heads: 3 embedding { factorised { width: 5 } }";
constexpr char kPlain[] = "vocabulary: 50 positions: 20 hidden: 12 heads: 3 embedding { plain {} }";

// MobileBERT's two kinds of layer; h = 12 as the others'.
constexpr char kShared[] =
    "vocabulary: 50 positions: 20 hidden: 12 heads: 3 embedding { trigram { width: 5 } } norm: NO_NORM "
    "bottleneck { width: 6 share_query_key: true }";
constexpr char kNarrow[] =
    "vocabulary: 50 positions: 20 hidden: 12 heads: 2 embedding { factorised { width: 5 } } "
    "bottleneck { width: 8 }";

// Normal numbers, float32: a state.
inline at::Tensor DrawnState(at::IntArrayRef sizes, uint64_t seed) {
  Random random(seed);
  at::Tensor x = at::empty(sizes);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.mutable_data_ptr<float>()[i] = static_cast<float>(random.Normal());
  return x;
}

// Random tokens from 1 on, the second half of each row in segment 1, zeros behind a row's length up to
// `padded`.
inline Batch MakeBatch(const std::vector<int>& lengths, uint64_t seed = 1, int padded = 0,
                       int vocabulary = 50) {
  const int longest = std::max(padded, *std::max_element(lengths.begin(), lengths.end()));
  const int64_t rows = static_cast<int64_t>(lengths.size());
  Batch batch;
  batch.ids = at::zeros({rows, longest}, at::kLong);
  batch.segments = at::zeros({rows, longest}, at::kLong);
  batch.mask = at::zeros({rows, longest}, at::kFloat);
  for (int64_t row = 0; row < rows; ++row) {
    Random random = Random(seed).Fork("row", row);
    for (int64_t i = 0; i < lengths[row]; ++i) {
      batch.ids[row][i] = static_cast<int64_t>(1 + random.Below(vocabulary - 1));
      batch.segments[row][i] = i >= lengths[row] / 2 ? 1 : 0;
      batch.mask[row][i] = 1;
    }
  }
  return batch;
}

// Weights well away from zero, biases too, so that every part of a model matters.
inline void Shake(Model* model, uint64_t seed) {
  const Random random(seed);
  for (const auto& [name, tensor] : model->weights) {
    Random stream = random.Fork(name);
    at::Tensor noise = at::empty(tensor.sizes(), at::kFloat);
    float* values = noise.mutable_data_ptr<float>();
    for (int64_t i = 0; i < noise.numel(); ++i) values[i] = static_cast<float>(0.3 * stream.Normal());
    model->weights.at(name) = tensor.detach() + noise;
  }
}

inline Model ShakenModel(const std::string& text, int classes = 3, int teacher_hidden = 0,
                         uint64_t seed = 7) {
  Model model = MakeModel(Architecture(text), classes, teacher_hidden, Random(seed));
  Shake(&model, seed);
  return model;
}

// As a loss with own_projections adds them (fit_dense.S), each with values of its own.
inline void AddOwnProjections(Model* model, const std::vector<int>& states) {
  for (const int state : states)
    for (const std::string part : {".weight", ".bias"})
      model->weights.Add("fit_dense." + std::to_string(state) + part,
                         model->weights.at("fit_dense" + part) + 1 + state);
}

inline void MakeDouble(Model* model) {
  for (const auto& [name, tensor] : Weights(model->weights)) model->weights.at(name) = tensor.to(at::kDouble);
}

inline double Difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace thimble::models
