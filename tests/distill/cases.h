// Made-up outputs of a student and a teacher. A value depends on its coordinates only, so that a row is the
// same in any batch and at any padding; what lies in padding is large, to show up if it enters a sum.
#pragma once
#include <ATen/ATen.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/hash.h"
#include "distill/objective.h"
#include "distill/projections.h"
#include "proto/objective.pb.h"

namespace thimble::distill {

constexpr int kHeads = 2, kWidth = 10, kTeacherWidth = 14, kClasses = 3, kExperts = 3, kVocabulary = 50;
const std::vector<int> kLayerMap = {2, 4};

inline float ValueAt(const std::string& what, std::vector<int64_t> at) {
  const uint64_t hash =
      Hash64({reinterpret_cast<const char*>(at.data()), at.size() * sizeof(int64_t)}, Hash64(what));
  return static_cast<float>(static_cast<double>(hash >> 40) / (1 << 23) - 1);
}

struct Case {
  models::Model student;
  models::Outputs outputs, teacher;
  models::Batch batch;
  std::vector<int> layer_map = kLayerMap;
  at::Tensor shares;  // of experts; outputs.routing is made of it

  LossInput input() const { return {student, outputs, &teacher, batch, layer_map}; }
  // What a gradient can flow to: scores, states, logits, projection.
  std::vector<at::Tensor> Leaves() const {
    std::vector<at::Tensor> leaves = outputs.attention_logits;
    leaves.insert(leaves.end(), outputs.hidden_states.begin(), outputs.hidden_states.end());
    leaves.insert(leaves.end(), outputs.mixer_states.begin(), outputs.mixer_states.end());
    for (const auto& layer : outputs.projections)
      leaves.insert(leaves.end(), {layer.query, layer.key, layer.value});
    if (outputs.logits.defined()) leaves.push_back(outputs.logits);
    leaves.push_back(shares);
    for (const auto& [name, weight] : student.weights) leaves.push_back(weight);
    return leaves;
  }
};

// One sentence a length, numbered from `first`, padded to `padded` positions.
inline Case MakeCase(const std::vector<int64_t>& lengths, int64_t padded, int64_t first = 0,
                     bool project = true) {
  const auto rows = static_cast<int64_t>(lengths.size());
  Case c;
  c.batch.ids = at::zeros({rows, padded}, at::kLong);
  c.batch.segments = at::zeros({rows, padded}, at::kLong);
  c.batch.mask = at::zeros({rows, padded});
  c.batch.labels = at::zeros({rows}, at::kLong);
  for (int64_t b = 0; b < rows; ++b) {
    c.batch.mask[b].slice(0, 0, lengths[b]).fill_(1);
    c.batch.labels[b] = (first + b) % kClasses;
  }
  const auto real = [&](int64_t b, int64_t t) { return t < lengths[b]; };
  const auto states = [&](const std::string& what, int64_t width) {
    at::Tensor out = at::full({rows, padded, width}, 1e3f + static_cast<float>(what.size()));
    auto to = out.accessor<float, 3>();
    for (int64_t b = 0; b < rows; ++b)
      for (int64_t t = 0; t < padded; ++t)
        for (int64_t k = 0; k < width && real(b, t); ++k) to[b][t][k] = ValueAt(what, {first + b, t, k});
    return out;
  };
  const auto scores = [&](const std::string& what) {
    at::Tensor out = at::full({rows, kHeads, padded, padded}, 1e3f * static_cast<float>(what.size()));
    auto to = out.accessor<float, 4>();
    for (int64_t b = 0; b < rows; ++b)
      for (int64_t h = 0; h < kHeads; ++h)
        for (int64_t q = 0; q < padded; ++q)
          for (int64_t k = 0; k < padded; ++k)
            if (real(b, q) && real(b, k)) to[b][h][q][k] = ValueAt(what, {first + b, h, q, k});
    return out;
  };
  const auto logits = [&](const std::string& what) {
    at::Tensor out = at::empty({rows, kClasses});
    for (int64_t b = 0; b < rows; ++b)
      for (int64_t k = 0; k < kClasses; ++k) out[b][k] = 3 * ValueAt(what, {first + b, k});
    return out;
  };
  const int64_t width = project ? kWidth : kTeacherWidth;
  for (int layer = 0; layer <= 2; ++layer) {
    c.outputs.hidden_states.push_back(states("state" + std::to_string(layer), width));
    if (layer < 2) c.outputs.attention_logits.push_back(scores("scores" + std::to_string(layer)));
  }
  for (int layer = 0; layer <= 4; ++layer) {
    c.teacher.hidden_states.push_back(states("teacher state" + std::to_string(layer), kTeacherWidth));
    if (layer < 4) c.teacher.attention_logits.push_back(scores("teacher scores" + std::to_string(layer)));
  }
  for (int layer = 0; layer < 2; ++layer)
    c.outputs.mixer_states.push_back(states("mixer" + std::to_string(layer), width));
  for (int layer = 0; layer < 4; ++layer)
    c.teacher.mixer_states.push_back(states("teacher mixer" + std::to_string(layer), kTeacherWidth));
  const auto projections = [&](const std::string& what, int64_t channels) {
    return models::Projections{states(what + " query", channels), states(what + " key", channels),
                               states(what + " value", channels)};
  };
  for (int layer = 0; layer < 2; ++layer)
    c.outputs.projections.push_back(projections("layer" + std::to_string(layer), width));
  for (int layer = 0; layer < 4; ++layer)
    c.teacher.projections.push_back(projections("teacher layer" + std::to_string(layer), kTeacherWidth));
  c.student.shape.heads = kHeads;
  c.outputs.logits = logits("logits");
  c.teacher.logits = logits("teacher logits");
  if (project) {
    at::Tensor weight = at::empty({kTeacherWidth, kWidth}), bias = at::empty({kTeacherWidth});
    for (int64_t i = 0; i < kTeacherWidth; ++i) {
      bias[i] = ValueAt("bias", {i});
      for (int64_t j = 0; j < kWidth; ++j) weight[i][j] = ValueAt("weight", {i, j});
    }
    c.student.weights.Add("fit_dense.weight", weight);
    c.student.weights.Add("fit_dense.bias", bias);
  }
  c.shares = states("shares", kExperts);
  c.shares.copy_(at::where(c.batch.mask.unsqueeze(2) > 0, at::softmax(c.shares, -1), c.shares));
  for (at::Tensor& leaf : c.Leaves()) leaf.requires_grad_();
  c.outputs.routing = {at::Tensor(), c.shares.unsqueeze(0)};
  return c;
}

// With what a loss has of its own: linears of the last state, which is another leaf than the states of
// layers.
inline Case WithOwnLinears(Case c, const proto::Loss& loss) {
  c.student.shape.hidden = kWidth;
  c.outputs.last_hidden_state = c.outputs.hidden_states.back().detach().clone().requires_grad_();
  proto::Objective objective;
  *objective.add_loss() = loss;
  AddOwnProjections(objective, {&c.student});
  return c;
}

// The same with a span head: logits [B, T, 2]. Token 1 is of a question, the last real one is [SEP]: no
// answer begins or ends there, nor in padding.
inline Case MakeSpanCase(const std::vector<int64_t>& lengths, int64_t padded, int64_t first = 0) {
  Case c = MakeCase(lengths, padded, first);
  const auto rows = static_cast<int64_t>(lengths.size());
  const auto logits = [&](const std::string& what) {
    at::Tensor out = at::full({rows, padded, 2}, 1e3f);
    for (int64_t b = 0; b < rows; ++b)
      for (int64_t t = 0; t < lengths[b]; ++t)
        for (int64_t k = 0; k < 2; ++k) out[b][t][k] = 3 * ValueAt(what, {first + b, t, k});
    return out;
  };
  c.outputs.logits = logits("span logits").requires_grad_();
  c.teacher.logits = logits("teacher span logits");
  c.batch.labels = at::zeros({rows, 2}, at::kLong);
  c.batch.answer_mask = at::zeros({rows, padded});
  for (int64_t b = 0; b < rows; ++b) {
    c.batch.answer_mask[b][0] = 1;
    if (lengths[b] > 3) c.batch.answer_mask[b].slice(0, 2, lengths[b] - 1).fill_(1);
    for (int64_t k = 0; k < 2 && lengths[b] > 3; ++k)
      c.batch.labels[b][k] = 2 + (first + b + k) % (lengths[b] - 3);
  }
  return c;
}

inline std::unique_ptr<Loss> MakeLoss(const std::string& text) {
  proto::Loss spec;
  ParseText(text, "test", &spec);
  for (const LossEntry& entry : Losses())
    if (text.rfind(entry.name, 0) == 0) return entry.make(spec);
  return nullptr;
}

}  // namespace thimble::distill
