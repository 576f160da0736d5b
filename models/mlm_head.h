// A head that finds masked tokens: h -> gelu -> LayerNorm -> the token table -> a score for each word of the
// vocabulary. Devlin et al., NAACL 2019, section 3.1; BertForMaskedLM. It is there while a model learns from
// text, and in no exported model.
//
//   head.transform.{weight [E, h], bias [E]}   E: width of the token table
//   head.norm.{weight, bias} [E]
//   head.bias [V]
#pragma once
#include <optional>
#include <string>

#include "models/model.h"

namespace thimble::models {

// The same encoder, the same tensors, with TaskHead::kMaskedTokens in place of its own head. `given`: tensors
// of such a head under the names above; nullptr: new ones, drawn from `random`. The pooler stays behind.
Model WithMlmHead(const Model& model, const Weights* given, const Random& random);

// A BERT checkpoint's own head (cls.predictions.*); nothing where its files have none. Error (exit 2) if it
// is not whole, its activation is not the exact gelu, or its decoder is not tied to the token table.
std::optional<Weights> ReadMlmHead(const std::string& directory, const Model& model);

}  // namespace thimble::models
