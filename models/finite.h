// Numbers that are none: NaN and the infinities, in weights and in what a model says.
#pragma once
#include <optional>
#include <string>

#include "models/model.h"

namespace thimble::models {

// One pass over a floating-point tensor. True of an empty one.
bool AllFinite(const at::Tensor& tensor);
// "NaN or infinity in 3 of its 64 numbers"; of a tensor that is not AllFinite.
std::string CountNonFinite(const at::Tensor& tensor);

// The first row of a head's outputs, [B, C] or of tokens [B, T, C], with a number that is NaN or infinite
// where `mask`, [B, T], has a token; nothing: there is none.
std::optional<int64_t> FirstNonFiniteRow(const at::Tensor& logits, const at::Tensor& mask);

// Where a forward pass over `batch`, done again, is not finite first: "the embedding's output", "the output
// of layer 1 of 6", "the head's output". For messages. `candidate`: view of a supernet, as ForwardOptions'.
std::string FirstNonFinite(const Model& model, const Batch& batch,
                           const ResolvedArchitecture* candidate = nullptr);

}  // namespace thimble::models
