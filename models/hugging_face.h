// How Hugging Face's BERT spells what a Model holds.
#pragma once
#include <string>
#include <string_view>

#include "models/arch/expression.h"
#include "models/arch/head.h"

namespace thimble::models {

// Its tensor for one of our weights, without the prefix "bert."; empty if BERT has no such weight (a narrow
// embedding, a second stacked block, fit_dense).
std::string HuggingFaceName(const std::string& weight, Head head);

// Expression of BERT's feed-forward block for a value of "hidden_act"; empty if we do not know it.
std::string ExpressionOfActivation(std::string_view hidden_act);
// "hidden_act" for a block; empty if it is not BERT's.
std::string ActivationOfExpression(const Expression& expression);
std::string AcceptedActivations();  // "gelu, ..."

}  // namespace thimble::models
