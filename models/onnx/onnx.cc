// The walk of models/encoder as an ONNX graph; models/onnx/onnx_ops.h says how it is spelt.
#include "models/onnx/onnx.h"

#include <ATen/ATen.h>

#include <climits>

#include "base/config.h"
#include "base/error.h"
#include "models/encoder/encoder.h"
#include "models/onnx/onnx_int8.h"
#include "models/onnx/onnx_ops.h"

namespace thimble::models {
namespace {

// Nodes, names and constants: far above what 100 layers take.
constexpr int64_t kGraphBytes = 16 << 20;

OnnxGraph Export(const Model& model, const OnnxOptions& options) {
  std::map<std::string, at::Tensor> magnitudes;
  if (options.weights == OnnxWeights::kInt8) magnitudes = InputMagnitudes(model, options.typical);
  OnnxGraph graph("thimble");
  graph.AddMetadata("architecture", CanonicalText(model.architecture));
  if (options.weights == OnnxWeights::kInt8) graph.AddMetadata("weights", "int8");
  OnnxOps ops(model, options.weights, std::move(magnitudes), &graph);
  const Value last = Encode(model.shape, LastStates(model.head, model.classes), ops);
  if (model.classes == 0) {
    graph.Output("last_hidden_state", onnx::TensorProto::FLOAT, {"batch", "length", model.shape.hidden});
    return graph;
  }
  RunHead(model.shape, model.classes, model.head, last, ops);
  if (model.head == TaskHead::kTokens) {
    graph.Output("logits", onnx::TensorProto::FLOAT, {"batch", "length", model.classes});
  } else {
    graph.Output("logits", onnx::TensorProto::FLOAT, {"batch", model.classes});
  }
  return graph;
}

}  // namespace

void WriteOnnx(const Model& model, const std::string& path, const OnnxOptions& options) {
  int64_t bytes = kGraphBytes;
  for (const auto& [name, tensor] : model.weights) {
    if (name.rfind("fit_dense.", 0) == 0) continue;
    const bool int8 = InEightBits(options.weights, name, tensor);
    bytes += tensor.numel() * static_cast<int64_t>(int8 ? sizeof(int8_t) : sizeof(float));
  }
  if (bytes > INT_MAX)
    throw BadRequest(path, "the weights do not fit into one ONNX file", std::to_string(bytes >> 20) + " MiB",
                     "less than 2048 MiB (protobuf's limit)");
  Export(model, options).Write(path);
}

}  // namespace thimble::models
