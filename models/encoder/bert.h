// What of our encoders is BERT's, as the field spells it.
#pragma once
#include <string>
#include <string_view>

#include "models/arch/architecture.h"

namespace thimble::models {

// Expression of BERT's feed-forward block for a value of "hidden_act"; empty if we do not know it.
std::string ExpressionOfActivation(std::string_view hidden_act);
// "hidden_act" for a block; empty if it is not BERT's.
std::string ActivationOfExpression(const Expression& expression);
std::string AcceptedActivations();  // "gelu, ..."

// Whether transformers' BertModel computes an encoder of this shape; `pooled`: with a pooler.
bool IsPlainBert(const ResolvedArchitecture& shape, bool pooled);

}  // namespace thimble::models
