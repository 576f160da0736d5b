#include "models/encoder/bert.h"

#include <utility>

#include "models/encoder/experts.h"
#include "models/encoder/kinds.h"

namespace thimble::models {
namespace {

// The first spelling of an activation is the one written. transformers has two functions under seven names
// (tests/golden/activations.json holds their values).
constexpr char kGelu[] = "linear(gelu_erf(linear(x,wb1)),wb2)";
constexpr char kTanhGelu[] = "linear(gelu(linear(x,wb1)),wb2)";
constexpr std::pair<const char*, const char*> kActivations[] = {
    {"gelu", kGelu},
    {"gelu_new", kTanhGelu},
    {"gelu_pytorch_tanh", kTanhGelu},
    {"gelu_fast", kTanhGelu},
    {"gelu_accurate", kTanhGelu},
    {"gelu_python_tanh", kTanhGelu},
    {"gelu_python", kGelu},
    {"relu", "linear(relu(linear(x,wb1)),wb2)"},
};

}  // namespace

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

bool IsPlainBert(const ResolvedArchitecture& shape, bool pooled) {
  if (!EntryOf(shape.embedding).bert || (pooled && shape.pooler != shape.hidden)) return false;
  if (shape.bottleneck > 0 || shape.no_norm || !shape.position_table) return false;
  const LayerShape& first = shape.layers[0];
  const std::string activation = ActivationOfExpression(first.expression);
  for (const LayerShape& layer : shape.layers) {
    if (layer.stacks != 1 || layer.width != first.width || !IsBerts(layer.mixer)) return false;
    if (layer.ffn.groups() != 1 || Experts(layer.ffn) != 1) return false;
    if (activation.empty() || ActivationOfExpression(layer.expression) != activation) return false;
  }
  return true;
}

}  // namespace thimble::models
