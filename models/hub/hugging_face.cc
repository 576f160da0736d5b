#include "models/hub/hugging_face.h"

#include <utility>

namespace thimble::models {
namespace {

// Beginnings of names. "#" is the number of the layer.
constexpr std::pair<const char*, const char*> kNames[] = {
    {"embedding.token", "embeddings.word_embeddings.weight"},
    {"embedding.position", "embeddings.position_embeddings.weight"},
    {"embedding.segment", "embeddings.token_type_embeddings.weight"},
    {"embedding.norm.", "embeddings.LayerNorm."},
    {"layer.#.attention.query.", "encoder.layer.#.attention.self.query."},
    {"layer.#.attention.key.", "encoder.layer.#.attention.self.key."},
    {"layer.#.attention.value.", "encoder.layer.#.attention.self.value."},
    {"layer.#.attention.out.", "encoder.layer.#.attention.output.dense."},
    {"layer.#.attention.norm.", "encoder.layer.#.attention.output.LayerNorm."},
    {"layer.#.ffn.0.up.", "encoder.layer.#.intermediate.dense."},
    {"layer.#.ffn.0.down.", "encoder.layer.#.output.dense."},
    {"layer.#.ffn.0.norm.", "encoder.layer.#.output.LayerNorm."},
};
constexpr std::pair<const char*, const char*> kDistilBertNames[] = {
    {"embedding.token", "embeddings.word_embeddings.weight"},
    {"embedding.position", "embeddings.position_embeddings.weight"},
    {"embedding.norm.", "embeddings.LayerNorm."},
    {"layer.#.attention.query.", "transformer.layer.#.attention.q_lin."},
    {"layer.#.attention.key.", "transformer.layer.#.attention.k_lin."},
    {"layer.#.attention.value.", "transformer.layer.#.attention.v_lin."},
    {"layer.#.attention.out.", "transformer.layer.#.attention.out_lin."},
    {"layer.#.attention.norm.", "transformer.layer.#.sa_layer_norm."},
    {"layer.#.ffn.0.up.", "transformer.layer.#.ffn.lin1."},
    {"layer.#.ffn.0.down.", "transformer.layer.#.ffn.lin2."},
    {"layer.#.ffn.0.norm.", "transformer.layer.#.output_layer_norm."},
};
// What BERT does not have.
constexpr std::pair<const char*, const char*> kMobileBertNames[] = {
    {"embedding.project.", "embeddings.embedding_transformation."},
    {"layer.#.bottleneck.in.norm.", "encoder.layer.#.bottleneck.input.LayerNorm."},
    {"layer.#.bottleneck.in.", "encoder.layer.#.bottleneck.input.dense."},
    {"layer.#.bottleneck.qk.norm.", "encoder.layer.#.bottleneck.attention.LayerNorm."},
    {"layer.#.bottleneck.qk.", "encoder.layer.#.bottleneck.attention.dense."},
    {"layer.#.bottleneck.out.norm.", "encoder.layer.#.output.bottleneck.LayerNorm."},
    {"layer.#.bottleneck.out.", "encoder.layer.#.output.bottleneck.dense."},
};
constexpr std::pair<const char*, const char*> kElectraNames[] = {
    {"embedding.project.", "embeddings_project."}};
constexpr std::pair<const char*, const char*> kConvBertNames[] = {
    {"embedding.project.", "embeddings_project."},
    {"layer.#.span_convolution.query.", "encoder.layer.#.attention.self.query."},
    {"layer.#.span_convolution.key.", "encoder.layer.#.attention.self.key."},
    {"layer.#.span_convolution.value.", "encoder.layer.#.attention.self.value."},
    {"layer.#.span_convolution.span.neighbours.",
     "encoder.layer.#.attention.self.key_conv_attn_layer.depthwise."},
    {"layer.#.span_convolution.span.key.weight",
     "encoder.layer.#.attention.self.key_conv_attn_layer.pointwise.weight"},
    {"layer.#.span_convolution.span.key.bias", "encoder.layer.#.attention.self.key_conv_attn_layer.bias"},
    {"layer.#.span_convolution.span.kernel.", "encoder.layer.#.attention.self.conv_kernel_layer."},
    {"layer.#.span_convolution.span.value.", "encoder.layer.#.attention.self.conv_out_layer."},
    {"layer.#.span_convolution.out.", "encoder.layer.#.attention.output.dense."},
    {"layer.#.span_convolution.norm.", "encoder.layer.#.attention.output.LayerNorm."},
};
// Of a block but the last, behind its number.
constexpr std::pair<const char*, const char*> kMobileBertBlock[] = {
    {"up.", "intermediate.dense."}, {"down.", "output.dense."}, {"norm.", "output.LayerNorm."}};
constexpr std::pair<const char*, const char*> kBertHead[] = {{"pooler.", "pooler.dense."},
                                                             {"head.", "classifier."}};
// RobertaClassificationHead: a pooler and a head under one name.
constexpr std::pair<const char*, const char*> kRobertaHead[] = {{"pooler.", "classifier.dense."},
                                                                {"head.", "classifier.out_proj."}};

struct FamilyEntry {
  Family family;
  const char *model_type, *prefix;
};
constexpr FamilyEntry kFamilies[] = {
    {Family::kBert, "bert", "bert."},          {Family::kDistilBert, "distilbert", "distilbert."},
    {Family::kRoberta, "roberta", "roberta."}, {Family::kMobileBert, "mobilebert", "mobilebert."},
    {Family::kElectra, "electra", "electra."}, {Family::kConvBert, "convbert", "convbert."}};

constexpr std::string_view kLayer = "layer.";

std::string WithNumber(std::string text, const std::string& number) {
  const size_t place = text.find('#');
  return place == std::string::npos ? text : text.replace(place, 1, number);
}

template <size_t count>
std::string Find(const std::pair<const char*, const char*> (&names)[count], const std::string& weight) {
  std::string number;
  if (weight.compare(0, kLayer.size(), kLayer) == 0) {
    number = weight.substr(kLayer.size(), weight.find('.', kLayer.size()) - kLayer.size());
  }
  for (const auto& [ours, theirs] : names) {
    const std::string begin = WithNumber(ours, number);
    if (weight == begin) return WithNumber(theirs, number);
    if (begin.back() == '.' && weight.compare(0, begin.size(), begin) == 0) {
      return WithNumber(theirs, number) + weight.substr(begin.size());
    }
  }
  return "";
}

std::string MobileBertName(const std::string& weight, int stacks) {
  constexpr std::string_view kFfn = ".ffn.";
  const size_t place = weight.find(kFfn);
  if (place == std::string::npos) return Find(kMobileBertNames, weight);
  const size_t begin = place + kFfn.size(), end = weight.find('.', begin);
  const std::string number = weight.substr(begin, end - begin), part = weight.substr(end + 1);
  const std::string layer = weight.substr(0, begin);
  if (number == std::to_string(stacks - 1)) return Find(kNames, layer + "0." + part);
  return "encoder." + layer + number + "." + Find(kMobileBertBlock, part);
}

}  // namespace

std::optional<Family> FamilyOfModelType(std::string_view model_type) {
  for (const FamilyEntry& entry : kFamilies)
    if (entry.model_type == model_type) return entry.family;
  return {};
}

std::string ModelTypes() {
  std::string names;
  for (const FamilyEntry& entry : kFamilies)
    names += (names.empty() ? "" : ", ") + std::string(entry.model_type);
  return names;
}

std::string_view Prefix(Family family) { return kFamilies[static_cast<int>(family)].prefix; }

std::string HuggingFaceName(const std::string& weight, TaskHead head, Family family, PooledHead pooled,
                            int stacks) {
  constexpr std::string_view kHead = "head.";
  if (head == TaskHead::kTokens && weight.compare(0, kHead.size(), kHead) == 0)
    return "qa_outputs." + weight.substr(kHead.size());
  if (family == Family::kDistilBert) return Find(kDistilBertNames, weight);
  if (family == Family::kMobileBert) {
    const std::string own = MobileBertName(weight, stacks);
    if (!own.empty()) return own;
  }
  std::string found;
  if (family == Family::kElectra) found = Find(kElectraNames, weight);
  if (family == Family::kConvBert) found = Find(kConvBertNames, weight);
  if (found.empty()) found = Find(kNames, weight);
  if (!found.empty()) return found;
  return pooled == PooledHead::kBert ? Find(kBertHead, weight) : Find(kRobertaHead, weight);
}

}  // namespace thimble::models
