#include "models/hugging_face.h"

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
    {"pooler.", "pooler.dense."},
    {"head.", "classifier."},
};

// The first spelling of an activation is the one written.
constexpr std::pair<const char*, const char*> kActivations[] = {
    {"gelu", "linear(gelu_erf(linear(x,wb1)),wb2)"},
    {"gelu_new", "linear(gelu(linear(x,wb1)),wb2)"},
    {"gelu_pytorch_tanh", "linear(gelu(linear(x,wb1)),wb2)"},
    {"relu", "linear(relu(linear(x,wb1)),wb2)"},
};

constexpr std::string_view kLayer = "layer.";

std::string WithNumber(std::string text, const std::string& number) {
  const size_t place = text.find('#');
  return place == std::string::npos ? text : text.replace(place, 1, number);
}

}  // namespace

std::string HuggingFaceName(const std::string& weight, Head head) {
  constexpr std::string_view kHead = "head.";
  if (head == Head::kTokens && weight.compare(0, kHead.size(), kHead) == 0)
    return "qa_outputs." + weight.substr(kHead.size());
  std::string number;
  if (weight.compare(0, kLayer.size(), kLayer) == 0) {
    number = weight.substr(kLayer.size(), weight.find('.', kLayer.size()) - kLayer.size());
  }
  for (const auto& [ours, theirs] : kNames) {
    const std::string begin = WithNumber(ours, number);
    if (weight == begin) return theirs;
    if (begin.back() == '.' && weight.compare(0, begin.size(), begin) == 0) {
      return WithNumber(theirs, number) + weight.substr(begin.size());
    }
  }
  return "";
}

std::string ExpressionOfActivation(std::string_view hidden_act) {
  for (const auto& [name, expression] : kActivations) {
    if (name == hidden_act) return expression;
  }
  return "";
}

std::string ActivationOfExpression(const Expression& expression) {
  const std::string text = expression.ToString();
  for (const auto& [name, known] : kActivations) {
    if (known == text) return name;
  }
  return "";
}

std::string AcceptedActivations() {
  std::string names;
  for (const auto& [name, expression] : kActivations)
    names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

}  // namespace thimble::models
