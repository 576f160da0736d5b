// Small teachers, students and samples.
#pragma once
#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "base/config.h"
#include "distill/start/sliced.h"
#include "proto/study.pb.h"

namespace thimble::distill {

constexpr int kVocabulary = 60, kPositions = 24;

inline proto::Architecture Encoder(int layers, int hidden, const std::string& ffn,
                                   const std::string& rest = "") {
  std::string text = "vocabulary: " + std::to_string(kVocabulary) +
                     " positions: " + std::to_string(kPositions) + " hidden: " + std::to_string(hidden) +
                     " " + rest;
  if (rest.find("heads") == std::string::npos) text += " heads: 4";
  if (rest.find("embedding") == std::string::npos) text += " embedding { plain {} }";
  for (int l = 0; l < layers; ++l) text += " layer { mixer { self_attention {} } ffn { " + ffn + " } }";
  proto::Architecture architecture;
  ParseText(text, "test", &architecture);
  return architecture;
}

inline const char* kBertBlock = "expression: 'linear(gelu_erf(linear(x,wb1)),wb2)'";

// Random weights large enough for every part to matter. With unit gains a rotation commutes with the
// teacher's LayerNorms, so a student of full width can be exact.
inline models::Model RandomTeacher(int layers, int hidden, int ffn, bool unit_gains, uint64_t seed = 5) {
  models::Model teacher =
      models::MakeModel(Encoder(layers, hidden, kBertBlock, "ffn_hidden: " + std::to_string(ffn)),
                        /*classes=*/3, /*teacher_hidden=*/0, Random(seed));
  at::NoGradGuard no_grad;
  Random random(seed + 1);
  for (const auto& [name, weight] : teacher.weights) {
    bool gain = name.find("norm.weight") != std::string::npos;
    bool bias = name.find(".bias") != std::string::npos;
    at::Tensor noise = at::empty_like(weight);
    float* values = noise.data_ptr<float>();
    for (int64_t i = 0; i < noise.numel(); ++i) values[i] = static_cast<float>(random.Normal());
    at::Tensor& target = teacher.weights.at(name);
    if (gain) {
      if (!unit_gains) target.copy_(1 + 0.3 * noise);
    } else if (bias) {
      target.copy_(0.2 * noise);
    } else {
      target.copy_(noise * (name.find("embedding") == 0 ? 0.5 : 1.2 / std::sqrt(weight.size(1))));
    }
  }
  return teacher;
}

inline std::vector<models::Batch> RandomBatches(int batches, int rows, uint64_t seed, int length = 12) {
  Random random(seed);
  std::vector<models::Batch> result;
  for (int b = 0; b < batches; ++b) {
    models::Batch batch{at::zeros({rows, length}, at::kLong),
                        at::zeros({rows, length}, at::kLong),
                        at::zeros({rows, length}),
                        {}};
    for (int row = 0; row < rows; ++row) {
      int n = 3 + static_cast<int>(random.Below(length - 2));
      for (int i = 0; i < n; ++i) {
        batch.ids[row][i] = static_cast<int64_t>(random.Below(kVocabulary));
        batch.segments[row][i] = i > n / 2 ? 1 : 0;
        batch.mask[row][i] = 1;
      }
    }
    result.push_back(batch);
  }
  return result;
}

inline proto::Sliced DefaultSliced() { return {}; }

// Largest difference over real tokens of [B, T, h] tensors.
inline double Difference(const at::Tensor& a, const at::Tensor& b, const models::Batch& batch) {
  return ((a - b).abs().amax(-1) * batch.mask).max().item<double>();
}

inline bool SameWeights(const models::Weights& a, const models::Weights& b) {
  for (const auto& [name, tensor] : a) {
    if (!b.Has(name) || !tensor.equal(b.at(name))) return false;
  }
  return a.size() == b.size();
}

}  // namespace thimble::distill
