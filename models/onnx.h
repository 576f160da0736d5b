// A model as an ONNX graph, written as protobuf without Python.
#pragma once
#include <string>

#include "models/model.h"

namespace thimble::models {

// Inputs input_ids, token_type_ids, attention_mask: int64 [batch, length], both dynamic. Output logits:
// float32 [batch, classes] with a head ([batch, length, classes] with one on tokens), else last_hidden_state:
// float32 [batch, length, hidden]. Opset 17, float32 weights inside the file. Error if the file would exceed
// protobuf's 2 GiB.
void WriteOnnx(const Model& model, const std::string& path);

}  // namespace thimble::models
