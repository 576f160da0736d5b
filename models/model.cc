#include "models/model.h"

#include <torch/torch.h>

#include "base/error.h"

namespace thimble::models {
namespace {

constexpr double kInitialDeviation = 0.02;

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

void CheckFits(const Shape& candidate, const Shape& supernet) {
  THIMBLE_CHECK(candidate.hidden == supernet.hidden && candidate.heads == supernet.heads &&
                    candidate.pooler == supernet.pooler && candidate.trigram == supernet.trigram &&
                    candidate.factorised == supernet.factorised &&
                    candidate.bottleneck == supernet.bottleneck &&
                    candidate.share_query_key == supernet.share_query_key &&
                    candidate.no_norm == supernet.no_norm && candidate.vocabulary == supernet.vocabulary &&
                    candidate.positions == supernet.positions && candidate.segments == supernet.segments,
                "candidate and supernet differ outside the feed-forward blocks");
  THIMBLE_CHECK(candidate.layers.size() == supernet.layers.size(), "candidate and supernet differ in depth");
  for (size_t i = 0; i < candidate.layers.size(); ++i) {
    THIMBLE_CHECK(candidate.layers[i].stacks <= supernet.layers[i].stacks &&
                      candidate.layers[i].width <= supernet.layers[i].width,
                  "layer " + std::to_string(i) + " of the candidate is larger than the supernet's");
  }
}

}  // namespace

std::vector<WeightShape> WeightShapes(const Shape& shape, bool pooler, int classes, int teacher_hidden,
                                      Head head) {
  const int64_t h = shape.hidden, w = shape.block_width();
  std::vector<WeightShape> all;
  auto linear = [&](const std::string& prefix, int64_t out, int64_t in) {
    all.push_back({prefix + ".weight", {out, in}});
    all.push_back({prefix + ".bias", {out}});
  };
  auto norm = [&](const std::string& prefix, int64_t width) {
    all.push_back({prefix + ".weight", {width}});
    all.push_back({prefix + ".bias", {width}});
  };
  all.push_back({"embedding.token", {shape.vocabulary, shape.embedding_width()}});
  all.push_back({"embedding.position", {shape.positions, h}});
  all.push_back({"embedding.segment", {shape.segments, h}});
  if (shape.projected() > 0) linear("embedding.project", h, shape.projected());
  norm("embedding.norm", h);
  for (size_t i = 0; i < shape.layers.size(); ++i) {
    const LayerShape& layer = shape.layers[i];
    const std::string prefix = "layer." + std::to_string(i);
    const auto bottleneck = [&](const std::string& part, int64_t out, int64_t in) {
      linear(prefix + ".bottleneck." + part, out, in);
      norm(prefix + ".bottleneck." + part + ".norm", out);
    };
    if (shape.bottleneck > 0) bottleneck("in", w, h);
    if (shape.share_query_key) bottleneck("qk", w, h);
    for (const char* part : {"query", "key"}) linear(prefix + ".attention." + part, w, w);
    linear(prefix + ".attention.value", w, shape.value_input());
    linear(prefix + ".attention.out", w, w);
    norm(prefix + ".attention.norm", w);
    for (int s = 0; s < layer.stacks; ++s) {
      const std::string block = prefix + ".ffn." + std::to_string(s);
      linear(block + ".up", layer.width, w);
      linear(block + ".down", w, layer.width);
      norm(block + ".norm", w);
    }
    if (shape.bottleneck > 0) bottleneck("out", h, w);
  }
  if (pooler) linear("pooler", shape.pooler, h);
  if (head == Head::kWords && classes > 0) {
    const int64_t width = shape.embedding_width();
    linear("head.transform", width, h);
    norm("head.norm", width);
    all.push_back({"head.bias", {shape.vocabulary}});
  } else if (classes > 0) {
    linear("head", classes, head == Head::kTokens ? shape.hidden : shape.pooler);
  }
  if (teacher_hidden > 0) linear("fit_dense", teacher_hidden, h);
  return all;
}

at::Tensor NewWeight(const WeightShape& weight, const Random& random) {
  if (EndsWith(weight.name, ".bias")) return at::zeros(weight.sizes, at::kFloat);
  if (EndsWith(weight.name, "norm.weight")) return at::ones(weight.sizes, at::kFloat);
  // Each weight has its own stream: a model with one part more or less draws the same values for the others.
  Random stream = random.Fork(weight.name);
  at::Tensor tensor = at::empty(weight.sizes, at::kFloat);
  float* values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i)
    values[i] = static_cast<float>(kInitialDeviation * stream.Normal());
  return tensor;
}

Model MakeModel(const proto::Architecture& architecture, int classes, int teacher_hidden, Random random,
                Head head) {
  Model model{architecture, Resolve(architecture), classes, teacher_hidden, {}, head};
  const bool pooler = classes > 0 && head == Head::kPooled;
  for (const WeightShape& weight : WeightShapes(model.shape, pooler, classes, teacher_hidden, head)) {
    model.weights.Add(weight.name, NewWeight(weight, random));
  }
  return model;
}

Model CopyCandidate(const Model& supernet, const proto::Architecture& candidate) {
  Model model{candidate, Resolve(candidate), supernet.classes, supernet.teacher_hidden, {}, supernet.head};
  CheckFits(model.shape, supernet.shape);
  const bool pooler = supernet.weights.Has("pooler.weight");
  for (const WeightShape& weight :
       WeightShapes(model.shape, pooler, model.classes, model.teacher_hidden, model.head)) {
    at::Tensor part = supernet.weights.at(weight.name).detach();
    for (size_t d = 0; d < weight.sizes.size(); ++d) {
      if (part.size(d) != weight.sizes[d]) part = part.narrow(d, 0, weight.sizes[d]);
    }
    model.weights.Add(weight.name, part.clone(at::MemoryFormat::Contiguous));
  }
  for (const auto& [name, tensor] : supernet.weights)  // WeightShapes lists no fit_dense.S
    if (name.starts_with("fit_dense.") && !model.weights.Has(name))
      model.weights.Add(name, tensor.detach().clone(at::MemoryFormat::Contiguous));
  return model;
}

}  // namespace thimble::models
