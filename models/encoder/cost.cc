#include "models/encoder/cost.h"

#include <algorithm>

#include "models/encoder/encoder.h"
#include "models/encoder/resolve.h"
#include "models/encoder/trace.h"

namespace thimble::models {
namespace {

constexpr int64_t kFloat = sizeof(float);

Trace Counter(const ResolvedArchitecture& shape) {
  return Trace(Trace::Names::kLeftOut, shape.no_norm ? 0 : 2);
}

int64_t EncoderParameters(const ResolvedArchitecture& shape) {
  const auto layers = static_cast<int64_t>(shape.layers.size());
  return EmbeddingParameters(shape) + LayersParameters(shape) +
         (shape.bottleneck > 0 ? layers * BottleneckParameters(shape) : 0);
}

}  // namespace

int64_t DeployedParameters(const ResolvedArchitecture& shape, int classes, TaskHead head) {
  Trace trace = Counter(shape);
  if (classes > 0) RunHead(shape, classes, head, trace.State(shape.hidden), trace);
  return EncoderParameters(shape) + trace.cost().parameters;
}

int64_t PaperParameters(const ResolvedArchitecture& shape, int teacher_hidden) {
  Trace trace = Counter(shape);
  trace.Linear("fit_dense", trace.State(shape.hidden), teacher_hidden, {});
  return EncoderParameters(shape) + trace.cost().parameters;
}

int64_t EmbeddingParameters(const ResolvedArchitecture& shape) {
  Trace trace = Counter(shape);
  Embed(shape, trace);
  return trace.cost().parameters;
}

int64_t MixerParameters(const ResolvedArchitecture& shape, const proto::Mixer& mixer) {
  Trace trace = Counter(shape);
  TraceMixer(shape, 0, mixer, &trace);
  return trace.cost().parameters;
}

int64_t BottleneckParameters(const ResolvedArchitecture& shape) {
  Trace trace = Counter(shape);
  const Value entered = trace.State(shape.hidden);
  EnterLayer(shape, 0, entered, Tokens::kAll, trace);
  LeaveLayer(shape, 0, entered, trace.State(shape.block_width()), trace);
  return trace.cost().parameters;
}

int64_t FeedForwardParameters(const ResolvedArchitecture& shape, const LayerShape& layer) {
  Trace trace = Counter(shape);
  const Value x = trace.State(shape.block_width());
  CloseBlock(0, 0, FeedForward(shape, 0, 0, layer, x, trace), x, trace);
  return layer.stacks * trace.cost().parameters;
}

// What layers share is traced once: a search counts thousands of candidates a second.
int64_t LayersParameters(const ResolvedArchitecture& shape) {
  int64_t sum = 0, of_mixer = 0;
  std::string mixer;
  for (const LayerShape& layer : shape.layers) {
    std::string text = layer.mixer.SerializeAsString();
    if (text != mixer) {
      of_mixer = MixerParameters(shape, layer.mixer);
      mixer = std::move(text);
    }
    sum += of_mixer + FeedForwardParameters(shape, layer);
  }
  return sum;
}

int64_t MultiplyAdds(const ResolvedArchitecture& shape, int length, TaskHead head) {
  Trace trace = Counter(shape);
  Encode(shape, LastStates(head), trace);
  const Trace::Cost& cost = trace.cost();
  return cost.row_products + length * (cost.token_products + length * cost.pair_products);
}

FileBytes WrittenBytes(const ResolvedArchitecture& shape, int classes, TaskHead head) {
  // Names, types and sizes: of a tensor in safetensors' JSON and in ONNX, of a node of the graph.
  constexpr int64_t kHeader = 100, kInitializer = 50, kNode = 110;
  constexpr int64_t kInt8Nodes = 5;
  Trace trace = Counter(shape);
  const Value last = Encode(shape, LastStates(head, classes), trace);
  // The head's matrix keeps its four bytes a number.
  const Value read = classes > 0 && head == TaskHead::kPooled ? Pool(shape, last, trace) : last;
  const Trace::Cost in_eight_bits = trace.cost();
  if (classes > 0) trace.Linear("head", read, classes, {});
  const Trace::Cost& all = trace.cost();
  FileBytes bytes;
  bytes.safetensors = kFloat * all.parameters + kHeader * all.tensors;
  bytes.onnx = kFloat * (all.parameters - all.folded) + kInitializer * all.tensors + kNode * all.nodes;
  const int64_t table = static_cast<int64_t>(shape.vocabulary) * shape.embedding_width;
  bytes.onnx_int8 = bytes.onnx - (kFloat - 1) * (table + in_eight_bits.matrices) +
                    kFloat * (shape.vocabulary + in_eight_bits.outputs + in_eight_bits.inputs) +
                    (kInt8Nodes * kNode + 2 * kInitializer) * in_eight_bits.linears;
  return bytes;
}

int64_t TrainingBytes(const ResolvedArchitecture& shape, int batch, int length) {
  Trace trace = Counter(shape);
  trace.Keep(Encode(shape, Tokens::kAll, trace));
  const int64_t tokens = static_cast<int64_t>(batch) * length;
  return kFloat *
         (tokens * (trace.cost().kept + length * trace.cost().kept_shares) + batch * trace.cost().kept_rows);
}

int64_t InferenceBytes(const ResolvedArchitecture& shape, int batch, int length, TaskHead head) {
  Trace trace = Counter(shape);
  Encode(shape, LastStates(head), trace);
  int64_t most = trace.cost().most_alive;
  for (const auto& [states, maps] : trace.cost().peaks) most = std::max(most, states + length * maps);
  return kFloat * batch * length * most;
}

}  // namespace thimble::models
