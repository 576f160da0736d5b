// What an architecture costs, before a model exists: sums over a trace of the walk (encoder/trace.h), so that
// nothing is said of a kind here. Tests compare with tensors, files and memory.
#pragma once
#include <cstdint>

#include "models/arch/architecture.h"
#include "models/arch/head.h"

namespace thimble::models {

// What is exported: embedding, encoder, pooler and a head of `classes` outputs (0: neither pooler nor head).
// A head on tokens has no pooler.
int64_t DeployedParameters(const ResolvedArchitecture& shape, int classes, TaskHead head = TaskHead::kPooled);
// EfficientBERT's tables: embedding, encoder and the training-only projection hidden -> teacher_hidden; no
// pooler, no head.
int64_t PaperParameters(const ResolvedArchitecture& shape, int teacher_hidden);

// The sums' terms, for describe and for counting points of a space.
int64_t EmbeddingParameters(const ResolvedArchitecture& shape);  // tables, projection, LayerNorm
int64_t MixerParameters(const ResolvedArchitecture& shape,
                        const proto::Mixer& mixer);  // one layer, its output linear and norm included
int64_t BottleneckParameters(
    const ResolvedArchitecture& shape);  // one layer's linears around its blocks, with their norms
int64_t FeedForwardParameters(const ResolvedArchitecture& shape,
                              const LayerShape& layer);  // all blocks of the layer, with their norms

int64_t LayersParameters(
    const ResolvedArchitecture& shape);  // both of all layers: what stacks, ratios and mixers change

// Multiply-adds of one sequence of `length` tokens: linears, QK, PV and the embedding's projection; no
// pooler, no head. What TaskHead::kPooled does not read of the last layer is not computed (Encode) and not
// counted. Published figures count all of it, FLOPs = 2 x that of TaskHead::kTokens; so do models without a
// head, who return it.
int64_t MultiplyAdds(const ResolvedArchitecture& shape, int length, TaskHead head = TaskHead::kPooled);

// Bytes of the files that are written of DeployedParameters(shape, classes, head): four a parameter, and what
// each tensor and each node of a graph takes for names and sizes, to within 1% of a file of a megabyte or
// more.
struct FileBytes {
  int64_t safetensors = 0, onnx = 0;
  // Matrices but the head's one byte a number, with a scale an output (a row of the token table) and a factor
  // an input of each linear (those that share an input share it); all else four.
  int64_t onnx_int8 = 0;
};
FileBytes WrittenBytes(const ResolvedArchitecture& shape, int classes, TaskHead head = TaskHead::kPooled);

// Bytes of float32 states, beside the weights. N = batch * length tokens.
// What a training step with dropout keeps for its backward pass: for each of the N tokens what linears, norms
// (with mean and deviation of a LayerNorm), activations and products need again, queries, keys and values;
// and for each layer two [heads, length, length] a row, attention's shares before and after dropout. Losses
// on attention scores keep one more.
int64_t TrainingBytes(const ResolvedArchitecture& shape, int batch, int length);
// The most states that are alive at once in a forward pass without gradients. What the last layer makes of
// the first token alone, for TaskHead::kPooled, is left out.
int64_t InferenceBytes(const ResolvedArchitecture& shape, int batch, int length,
                       TaskHead head = TaskHead::kPooled);

}  // namespace thimble::models
