// A model as an ONNX graph, written as protobuf without Python.
#pragma once
#include <string>
#include <vector>

#include "models/model.h"

namespace thimble::models {

enum class OnnxWeights {
  kFloat32,
  // Matrices in eight bits, one scale a row of the token table and an output of a linear; activations are put
  // into eight bits while the graph runs, over the whole batch. What computes no matrix product with weights
  // (LayerNorm, softmax, operators, positions, segments) and the task head stay float32.
  kInt8
};

struct OnnxOptions {
  OnnxWeights weights = OnnxWeights::kFloat32;
  // kInt8: rows like those that the model will see, a batch each. The spread of a linear's inputs over their
  // channels is moved into its weights (onnx_int8.h); without rows it stays.
  std::vector<Batch> typical;
};

// Inputs input_ids, token_type_ids, attention_mask: int64 [batch, length], both dynamic. Output logits:
// float32 [batch, classes] with a head ([batch, length, classes] with one on tokens), else last_hidden_state:
// float32 [batch, length, hidden]. Opset 17, the weights inside the file. Error if the file would exceed
// protobuf's 2 GiB.
void WriteOnnx(const Model& model, const std::string& path, const OnnxOptions& options = {});

}  // namespace thimble::models
