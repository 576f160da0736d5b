#include "models/crop.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "models/encoder/encoder.h"
#include "models/encoder/experts.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "models/torch/mixing.h"

namespace thimble::models {
namespace {

constexpr char kWhere[] = "crop";
constexpr std::pair<const char*, LayerRule> kLayerRules[] = {{"first", LayerRule::kFirst},
                                                             {"uniform", LayerRule::kUniform},
                                                             {"doubled", LayerRule::kDoubled},
                                                             {"averaged", LayerRule::kAveraged}};
constexpr std::pair<const char*, TokenRule> kTokenRules[] = {{"first", TokenRule::kFirst},
                                                             {"pca", TokenRule::kPca}};

template <typename Rule, size_t count>
Rule Find(const std::pair<const char*, Rule> (&rules)[count], const char* what, const std::string& name) {
  std::string names;
  for (const auto& [known, rule] : rules) {
    if (name == known) return rule;
    names += (names.empty() ? "" : ", ") + std::string(known);
  }
  throw BadRequest(what, "no such rule", "'" + name + "'", names);
}

at::Tensor First(const at::Tensor& whole, at::IntArrayRef sizes) {
  at::Tensor part = whole;
  for (size_t d = 0; d < sizes.size(); ++d) part = part.narrow(static_cast<int64_t>(d), 0, sizes[d]);
  return part;
}

const std::string& Kind(const ResolvedArchitecture& shape) { return EntryOf(shape.embedding).name; }

class Cropper {
 public:
  Cropper(const Model& larger, const ResolvedArchitecture& shape, const CropRules& rules)
      : larger_(larger), shape_(shape), rules_(rules), layers_(static_cast<int>(shape.layers.size())) {
    CheckWidths();
    CheckEmbedding();
    CheckLayers();
    if (rules.tokens == TokenRule::kPca) TakeComponents();
  }

  at::Tensor Weight(const WeightShape& weight) const {
    const std::string& name = weight.name;
    if (components_.defined() && name == "embedding.token") return components_;
    if (components_.defined() && name == "embedding.project.weight") return Projection();
    if (components_.defined() && name == "embedding.project.bias") return mean_.narrow(0, 0, shape_.hidden);
    const std::string start = "layer.";
    if (!name.starts_with(start)) return PartOf(Larger(name), weight);
    const size_t end = name.find('.', start.size());
    const int layer = std::stoi(name.substr(start.size(), end - start.size()));
    std::vector<at::Tensor> parts;
    for (const int ancestor : AncestorsOf(layer))
      parts.push_back(PartOf(Larger(start + std::to_string(ancestor) + name.substr(end)), weight));
    return Mean(parts);
  }

  // fit_dense.S where a state that S comes from has one; for those that have none, the shared one stands.
  void AddOwnProjections(Weights* weights) const {
    for (int state = 0; state <= layers_; ++state) {
      std::vector<int> from = {0};  // the embedding's output
      if (state > 0) {
        from = AncestorsOf(state - 1);
        for (int& layer : from) ++layer;
      }
      for (const char* part : {".weight", ".bias"}) {
        const auto own = [&](int s) { return "fit_dense." + std::to_string(s) + part; };
        const std::string shared = std::string("fit_dense") + part;
        std::vector<at::Tensor> parts;
        bool any = false;
        for (const int s : from) {
          const bool has = larger_.weights.Has(own(s));
          any |= has;
          parts.push_back(Larger(has ? own(s) : shared));
        }
        if (any) weights->Add(own(state), Owned(First(Mean(parts), weights->at(shared).sizes())));
      }
    }
  }

  // A copy of its own.
  static at::Tensor Owned(const at::Tensor& tensor) {
    return tensor.to(at::kFloat).clone(at::MemoryFormat::Contiguous);
  }

 private:
  static at::Tensor Mean(const std::vector<at::Tensor>& parts) {
    return parts.size() == 1 ? parts[0] : at::stack(parts).mean(0);
  }
  at::Tensor Larger(const std::string& name) const { return larger_.weights.at(name).detach(); }
  std::vector<int> AncestorsOf(int layer) const {
    return Ancestors(rules_.layers, layer, layers_, static_cast<int>(larger_.shape.layers.size()));
  }

  static void Same(const std::string& what, const std::string& ours, const std::string& theirs) {
    if (ours != theirs)
      throw BadRequest(kWhere, what + " cannot be cropped", ours, "the larger model's, " + theirs);
  }
  static void Same(const std::string& what, int ours, int theirs) {
    Same(what, std::to_string(ours), std::to_string(theirs));
  }
  static void NotMore(const std::string& what, int ours, int theirs) {
    if (ours > theirs)
      throw BadRequest(kWhere, what + " of the student is larger than the model's", std::to_string(ours),
                       "at most " + std::to_string(theirs));
  }

  void CheckWidths() const {
    const ResolvedArchitecture& larger = larger_.shape;
    Same("the vocabulary", shape_.vocabulary, larger.vocabulary);
    Same("the number of heads", shape_.heads, larger.heads);
    Same("the norm", shape_.no_norm ? "NO_NORM" : "LAYER_NORM", larger.no_norm ? "NO_NORM" : "LAYER_NORM");
    Same("whether there is a bottleneck", shape_.bottleneck > 0 ? "yes" : "no",
         larger.bottleneck > 0 ? "yes" : "no");
    Same("share_query_key", shape_.share_query_key ? "true" : "false",
         larger.share_query_key ? "true" : "false");
    NotMore("hidden", shape_.hidden, larger.hidden);
    NotMore("bottleneck.width", shape_.bottleneck, larger.bottleneck);
    if (shape_.position_table && !larger.position_table)
      throw BadRequest(kWhere, "the larger model has no position table", "position_table: true", "false");
    NotMore("positions", shape_.positions, larger.positions);
    NotMore("segments", shape_.segments, larger.segments);
    if (larger_.weights.Has("pooler.weight")) NotMore("pooler", shape_.pooler, larger.pooler);
  }

  void CheckEmbedding() const {
    const ResolvedArchitecture& larger = larger_.shape;
    if (rules_.tokens == TokenRule::kFirst) {
      if (Kind(shape_) != Kind(larger))
        throw BadRequest(kWhere, "the first columns of a table are no embedding of another kind",
                         Kind(larger) + " to " + Kind(shape_),
                         "the same kind; from a plain one also the rule pca");
      NotMore("the embedding's width", shape_.embedding_width, larger.embedding_width);
      return;
    }
    if (larger.projected > 0 || EntryOf(larger.embedding).narrow || shape_.projected == 0)
      throw BadRequest(kWhere, "the rule pca makes a narrow token table of a plain one",
                       Kind(larger) + " to " + Kind(shape_), "plain to trigram or factorised");
    NotMore("the embedding's width", shape_.embedding_width, std::min(larger.hidden, larger.vocabulary));
  }

  void CheckLayers() const {
    const auto& larger = larger_.shape.layers;
    const int theirs = static_cast<int>(larger.size());
    if (rules_.layers == LayerRule::kDoubled) {
      if (layers_ != 2 * theirs)
        throw BadRequest(kWhere, "the rule doubled gives twice the model's layers", std::to_string(layers_),
                         std::to_string(2 * theirs));
    } else {
      NotMore("the number of layers", layers_, theirs);
    }
    for (int i = 0; i < layers_; ++i) {
      for (const int ancestor : AncestorsOf(i)) {
        CheckKinds(i, ancestor);
        const std::string layer = "layer[" + std::to_string(i) + "].ffn.";
        NotMore(layer + "stacks", shape_.layers[i].stacks, larger[ancestor].stacks);
        NotMore(layer + "inner width", shape_.layers[i].width, larger[ancestor].width);
      }
    }
  }

  // What stands beside queries, keys and values.
  void CheckMixerWeights(const std::string& where, int layer, int ancestor) const {
    const proto::Mixer &ours = shape_.layers[layer].mixer, &theirs = larger_.shape.layers[ancestor].mixer;
    const auto larger = MixerWeights(larger_.shape, ancestor, theirs);
    for (const WeightShape& weight : MixerWeights(shape_, ancestor, ours)) {
      const auto same = std::find_if(larger.begin(), larger.end(),
                                     [&](const WeightShape& each) { return each.name == weight.name; });
      if (same == larger.end() || same->form.kernel != weight.form.kernel)
        throw BadRequest(kWhere, where + "mixer has a weight that is no part of the larger model's",
                         TextOf(ours) + ": " + weight.name, "the larger model's mixer, " + TextOf(theirs));
    }
    const AttentionBiasEntry *bias = BiasOf(ours), *its = BiasOf(theirs);
    Same(where + "attention's bias", bias ? bias->name : "none", its ? its->name : "none");
  }

  void CheckKinds(int layer, int ancestor) const {
    const LayerShape &ours = shape_.layers[layer], &theirs = larger_.shape.layers[ancestor];
    const std::string where = "layer[" + std::to_string(layer) + "].";
    Same(where + "mixer", EntryOf(ours.mixer).name, EntryOf(theirs.mixer).name);
    if (ours.width > 0) Same(where + "ffn", EntryOf(ours.ffn).name, EntryOf(theirs.ffn).name);
    Same(where + "ffn.groups", ours.ffn.groups(), theirs.ffn.groups());
    Same(where + "ffn.monarch", ours.ffn.monarch(), theirs.ffn.monarch());
    Same(where + "ffn's experts", ours.ffn.experts_case(), theirs.ffn.experts_case());
    NotMore(where + "ffn's experts", Experts(ours.ffn), Experts(theirs.ffn));
    NotMore(where + "ffn.routed.shared", ours.ffn.routed().shared(), theirs.ffn.routed().shared());
    CheckMixerWeights(where, layer, ancestor);
    const std::string output = "." + std::string(kOutput) + ".weight",
                      name = MixerScope(ancestor, theirs.mixer) + output;
    if (larger_.weights.Has(name))
      NotMore(where + "mixer's context", SizeOf(shape_, ours.mixer).context,
              static_cast<int>(larger_.weights.at(name).size(1)));
  }

  // table = mean + components directions, as nearly as that many directions allow.
  void TakeComponents() {
    const at::Tensor table = Larger("embedding.token").to(at::kDouble);
    mean_ = table.mean(0);
    const at::Tensor centred = table - mean_;
    const auto [variances, vectors] = at::linalg_eigh(centred.t().matmul(centred));
    directions_ = vectors.flip(1).narrow(1, 0, shape_.embedding_width);
    components_ = centred.matmul(directions_);
  }

  // Into the current token's columns; its neighbours begin without a say.
  at::Tensor Projection() const {
    const at::Tensor own = directions_.narrow(0, 0, shape_.hidden);
    std::vector<at::Tensor> parts(shape_.projected / shape_.embedding_width, at::zeros_like(own));
    parts[EntryOf(shape_.embedding).own_part] = own;
    return at::cat(parts, 1);
  }

  const Model& larger_;
  const ResolvedArchitecture& shape_;
  const CropRules rules_;
  const int layers_;
  at::Tensor mean_, directions_, components_;  // of the token table: [H], [H, E], [V, E]
};

}  // namespace

LayerRule LayerRuleOf(const std::string& name) { return Find(kLayerRules, "--layers", name); }
TokenRule TokenRuleOf(const std::string& name) { return Find(kTokenRules, "--tokens", name); }

at::Tensor PartOf(const at::Tensor& larger, const WeightShape& weight) {
  if (weight.form.taps) return MiddleTaps(larger, weight.sizes[0], weight.sizes[1]);
  if (weight.form.groups > 1) return FirstOfGroups(larger, weight.sizes, weight.form);
  for (size_t d = 0; d < weight.sizes.size(); ++d)
    THIMBLE_CHECK(weight.sizes[d] <= larger.size(static_cast<int64_t>(d)),
                  weight.name + " is larger than the model's that it is cropped from");
  const int64_t parts = weight.sizes.size() == 2 ? weight.form.in_parts : 1;
  if (parts == 1) return First(larger, weight.sizes);
  const at::Tensor apart = larger.unflatten(1, {parts, larger.size(1) / parts});
  return First(apart, {weight.sizes[0], parts, weight.sizes[1] / parts}).flatten(1);
}

std::vector<int> Ancestors(LayerRule rule, int layer, int student_layers, int larger_layers) {
  switch (rule) {
    case LayerRule::kFirst:
      return {layer};
    case LayerRule::kUniform:
      return {(layer + 1) * larger_layers / student_layers - 1};
    case LayerRule::kDoubled:
      return {layer / 2};
    case LayerRule::kAveraged:
      break;
  }
  std::vector<int> layers;
  for (int i = layer * larger_layers / student_layers; i < (layer + 1) * larger_layers / student_layers; ++i)
    layers.push_back(i);
  return layers;
}

Model CropFrom(const Model& larger, const proto::Architecture& student, const CropRules& rules) {
  Model model{student, Resolve(student), larger.classes, larger.teacher_hidden, {}, larger.head};
  const Cropper cropper(larger, model.shape, rules);
  const bool pooler = larger.weights.Has("pooler.weight");
  for (const WeightShape& weight :
       WeightShapes(model.shape, pooler, model.classes, model.teacher_hidden, model.head))
    model.weights.Add(weight.name, Cropper::Owned(cropper.Weight(weight)));
  if (model.teacher_hidden > 0) cropper.AddOwnProjections(&model.weights);
  return model;
}

proto::Architecture Doubled(const proto::Architecture& architecture) {
  proto::Architecture doubled = architecture;
  doubled.clear_layer();
  for (const proto::Layer& layer : architecture.layer())
    for (int copy = 0; copy < 2; ++copy) *doubled.add_layer() = layer;
  return doubled;
}

}  // namespace thimble::models
