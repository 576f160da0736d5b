#include "models/model.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "models/crop.h"
#include "models/encoder/encoder.h"
#include "models/encoder/resolve.h"

namespace thimble::models {
namespace {

constexpr double kInitialDeviation = 0.02;

void CheckFits(const ResolvedArchitecture& candidate, const ResolvedArchitecture& supernet) {
  THIMBLE_CHECK(candidate.hidden == supernet.hidden && candidate.heads == supernet.heads &&
                    candidate.pooler == supernet.pooler &&
                    candidate.embedding.kind_case() == supernet.embedding.kind_case() &&
                    candidate.embedding_width == supernet.embedding_width &&
                    candidate.bottleneck == supernet.bottleneck &&
                    candidate.share_query_key == supernet.share_query_key &&
                    candidate.no_norm == supernet.no_norm &&
                    candidate.position_table == supernet.position_table &&
                    candidate.vocabulary == supernet.vocabulary &&
                    candidate.positions == supernet.positions && candidate.segments == supernet.segments,
                "candidate and supernet differ outside of the layers");
  THIMBLE_CHECK(candidate.layers.size() == supernet.layers.size(), "candidate and supernet differ in depth");
}

// Of a supernet the weights of mixers beside the first, those that they share once.
void AddBeside(const ResolvedArchitecture& shape, std::vector<WeightShape>* all) {
  std::set<std::string> known;
  for (const WeightShape& weight : *all) known.insert(weight.name);
  for (int i = 0; i < static_cast<int>(shape.layers.size()); ++i) {
    for (const proto::Mixer& mixer : shape.layers[i].beside) {
      Trace trace(Trace::Names::kKept);
      TraceMixer(shape, i, mixer, &trace);
      for (const WeightShape& weight : trace.weights())
        if (known.insert(weight.name).second) all->push_back(weight);
    }
  }
}

}  // namespace

std::vector<WeightShape> WeightShapes(const ResolvedArchitecture& shape, bool pooler, int classes,
                                      int teacher_hidden, TaskHead head) {
  Trace trace(Trace::Names::kKept);
  const Value last = Encode(shape, Tokens::kAll, trace);
  Value read = last;
  if (pooler) read = Pool(shape, last, trace);
  std::vector<WeightShape> head_of_words;
  if (head == TaskHead::kMaskedTokens && classes > 0) {
    const Ops::Scope scope(trace, "head");
    trace.Norm("norm", trace.Linear("transform", last, shape.embedding_width, {}));
    head_of_words.push_back({"head.bias", {shape.vocabulary}});
  } else if (classes > 0) {
    // A head that reads a pooler is as wide, be there one or not.
    trace.Linear("head", pooler || head == TaskHead::kTokens ? read : trace.State(shape.pooler), classes, {});
  }
  std::vector<WeightShape> all = trace.weights();
  AddBeside(shape, &all);
  all.insert(all.end(), head_of_words.begin(), head_of_words.end());
  if (teacher_hidden > 0) {
    all.push_back({"fit_dense.weight", {teacher_hidden, shape.hidden}});
    all.push_back({"fit_dense.bias", {teacher_hidden}});
  }
  // Files and checkpoints begin with the tables, in this order.
  const char* const tables[] = {"embedding.token", "embedding.position", "embedding.segment"};
  auto place = all.begin();
  for (const char* table : tables) {
    const auto found =
        std::find_if(place, all.end(), [&](const auto& weight) { return weight.name == table; });
    if (found != all.end()) std::rotate(place++, found, std::next(found));
  }
  return all;
}

at::Tensor NewWeight(const WeightShape& weight, const Random& random) {
  if (weight.form.starts_as_one)
    return weight.name.ends_with(".bias") ? at::ones(weight.sizes, at::kFloat)
                                          : at::zeros(weight.sizes, at::kFloat);
  if (weight.form.starts_as_identity) {
    const at::Tensor taps = at::zeros(weight.sizes, at::kFloat);
    taps.select(1, weight.sizes[1] / 2).fill_(1);
    return taps;
  }
  if (weight.form.starts_as_zero) return at::zeros(weight.sizes, at::kFloat);
  if (weight.name.ends_with(".bias")) return at::zeros(weight.sizes, at::kFloat);
  if (weight.name.ends_with("norm.weight")) return at::ones(weight.sizes, at::kFloat);
  // Each weight has its own stream: a model with one part more or less draws the same values for the others.
  Random stream = random.Fork(weight.name);
  at::Tensor tensor = at::empty(weight.sizes, at::kFloat);
  float* values = tensor.mutable_data_ptr<float>();
  const auto [low, high, least, most] = weight.numbers;
  if (high > 0) {
    for (int64_t i = 0; i < tensor.numel(); ++i)
      values[i] = static_cast<float>(low + (high - low) * stream.Uniform());
    return tensor;
  }
  for (int64_t i = 0; i < tensor.numel(); ++i)
    values[i] = static_cast<float>(kInitialDeviation * stream.Normal());
  return tensor;
}

Model MakeModel(const proto::Architecture& architecture, int classes, int teacher_hidden, Random random,
                TaskHead head) {
  Model model{architecture, Resolve(architecture), classes, teacher_hidden, {}, head};
  const bool pooler = classes > 0 && head == TaskHead::kPooled;
  for (const WeightShape& weight : WeightShapes(model.shape, pooler, classes, teacher_hidden, head)) {
    model.weights.Add(weight.name, NewWeight(weight, random));
  }
  return model;
}

Model CropCandidate(const Model& supernet, const proto::Architecture& candidate) {
  Model model{candidate, Resolve(candidate), supernet.classes, supernet.teacher_hidden, {}, supernet.head};
  CheckFits(model.shape, supernet.shape);
  const bool pooler = supernet.weights.Has("pooler.weight");
  for (const WeightShape& weight :
       WeightShapes(model.shape, pooler, model.classes, model.teacher_hidden, model.head)) {
    THIMBLE_CHECK(supernet.weights.Has(weight.name), weight.name + " of the candidate is not the supernet's");
    const at::Tensor part = PartOf(supernet.weights.at(weight.name).detach(), weight);
    model.weights.Add(weight.name, part.clone(at::MemoryFormat::Contiguous));
  }
  for (const auto& [name, tensor] : supernet.weights)  // WeightShapes lists no fit_dense.S
    if (name.starts_with("fit_dense.") && !model.weights.Has(name))
      model.weights.Add(name, tensor.detach().clone(at::MemoryFormat::Contiguous));
  return model;
}

}  // namespace thimble::models
