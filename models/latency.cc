#include "models/latency.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "models/encoder/encoder.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "models/torch/torch_ops.h"

namespace thimble::models {
namespace {

class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(at::get_num_threads()) { at::set_num_threads(threads); }
  ~ThreadCount() { at::set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

// The q-quantile of sorted values, between neighbours by linear interpolation.
double Quantile(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Batch RandomBatch(int batch, int length, int vocabulary) {
  Random random(0);
  Batch input;
  input.ids = at::empty({batch, length}, at::kLong);
  int64_t* ids = input.ids.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < input.ids.numel(); ++i) ids[i] = static_cast<int64_t>(random.Below(vocabulary));
  input.segments = at::zeros({batch, length}, at::kLong);
  input.mask = at::ones({batch, length}, at::kFloat);
  return input;
}

double Milliseconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

// Models that differ in where their weights lie. In a whole pass a part's weights come from memory, since
// those of the other parts have been read since: copies are run in turn until they are more than caches hold.
std::vector<Model> Copies(const Model& model) {
  constexpr int64_t kBytes = 64 << 20;
  constexpr int64_t kMost = 64;
  const int64_t bytes = std::max<int64_t>(1, model.weights.Elements() * static_cast<int64_t>(sizeof(float)));
  std::vector<Model> copies;
  for (int64_t i = 0; i < std::clamp<int64_t>(kBytes / bytes, 1, kMost); ++i) {
    copies.push_back(model);
    for (const auto& [name, tensor] : model.weights) copies.back().weights.at(name) = tensor.clone();
  }
  return copies;
}

// The first layer alone, with one block, and few tokens unless those are what is measured.
proto::Architecture Part(const proto::Architecture& architecture, int layer, int vocabulary) {
  proto::Architecture part = architecture;
  part.clear_layer();
  *part.add_layer() = architecture.layer(layer);
  part.mutable_layer(0)->mutable_ffn()->set_stacks(1);
  part.set_vocabulary(vocabulary);
  return part;
}

}  // namespace

double Sum(const std::vector<PartLatency>& parts) {
  double sum = 0;
  for (const PartLatency& part : parts) sum += part.ms * part.count;
  return sum;
}

LatencyTable::LatencyTable(int batch, int length, int threads, int runs)
    : batch_(batch), length_(length), threads_(threads), runs_(runs) {
  THIMBLE_CHECK(batch > 0 && length > 0 && threads > 0 && runs > 0, "nothing to measure");
}

std::vector<PartLatency> LatencyTable::Parts(const proto::Architecture& architecture, Tokens read_of_last) {
  const c10::InferenceMode inference;
  const ThreadCount thread_count(threads_);
  const Shape shape = Resolve(architecture);
  std::vector<PartLatency> parts;
  using Work = std::function<void(const Model&)>;
  const auto add = [&](const std::string& part, const std::string& key, const proto::Architecture& small,
                       const Work& work) {
    const auto same =
        std::find_if(parts.begin(), parts.end(), [&](const auto& known) { return known.part == part; });
    if (same != parts.end()) {
      ++same->count;
      return;
    }
    double& measured = measured_[key + (shape.no_norm ? " no norm" : "")];
    if (measured == 0) {
      const std::vector<Model> copies = Copies(MakeModel(small, 0, 0, Random(1)));
      std::vector<double> times;
      const int passes = std::max(runs_, static_cast<int>(copies.size()));
      for (int i = -passes; i < passes; ++i) {
        const double ms = Milliseconds([&] { work(copies[(i + passes) % copies.size()]); });
        if (i >= 0) times.push_back(ms);
      }
      std::sort(times.begin(), times.end());
      measured = Quantile(times, 0.5);
    }
    parts.push_back({part, measured, 1});
  };

  const ForwardOptions options;
  const Batch batch = RandomBatch(batch_, length_, shape.vocabulary);
  constexpr int kFewTokens = 10;
  const std::string hidden = std::to_string(shape.hidden), width = std::to_string(shape.block_width());
  const std::string kind =
      EntryOf(shape.embedding).name + " " + std::to_string(shape.embedding_width) + " to " + hidden;
  add("embedding, " + kind, kind + " of " + std::to_string(shape.vocabulary),
      Part(architecture, 0, shape.vocabulary),
      [&](const Model& model) {
        TorchOps ops(model, batch, options);
        Embed(model.shape, ops);
      });
  const at::Tensor outer = at::randn({batch_, length_, shape.hidden});
  for (size_t i = 0; i < shape.layers.size(); ++i) {
    const LayerShape& layer = shape.layers[i];
    const Tokens read = i + 1 < shape.layers.size() ? Tokens::kAll : read_of_last;
    const std::string only = read == Tokens::kAll ? "" : ", first token";
    const int64_t tokens = read == Tokens::kAll ? length_ : 1;
    const at::Tensor inner = at::randn({batch_, tokens, shape.block_width()});
    const proto::Architecture small = Part(architecture, static_cast<int>(i), kFewTokens);
    const std::string what = IsBerts(layer.mixer) ? std::to_string(shape.heads) + " heads"
                                                  : std::to_string(shape.heads) + " heads, " + TextOf(layer.mixer);
    const std::string heads = what + ", " + (shape.bottleneck > 0 ? hidden + " to " : "") + width +
                              (shape.share_query_key ? ", queries and keys share" : "") + only;
    add((IsBerts(layer.mixer) ? "attention, " : "mixer, ") + heads, heads, small, [&](const Model& model) {
      TorchOps ops(model, batch, options);
      LayerInput in = EnterLayer(model.shape, 0, TorchOps::Of(outer), read, ops);
      const Value residual = in.residual;
      const proto::Mixer& mixer = model.shape.layers[0].mixer;
      const Value context = Mix(model.shape, 0, mixer, std::move(in), ops.PaddingBias(kPaddingBias), read, ops);
      CloseMixer(model.shape, 0, mixer, context, residual, ops);
    });
    const std::string block =
        width + " to " + std::to_string(layer.width) + ", " + TextOf(layer) + only;
    for (int stack = 0; stack < layer.stacks; ++stack)
      add("block, " + block, block, small, [&](const Model& model) {
        TorchOps ops(model, batch, options);
        const Value x = TorchOps::Of(inner);
        CloseBlock(0, 0, FeedForward(model.shape, 0, 0, model.shape.layers[0], x, ops), x, ops);
      });
    if (shape.bottleneck == 0) continue;
    const std::string out = width + " to " + hidden + only;
    const at::Tensor entered = outer.narrow(1, 0, tokens);
    add("bottleneck, " + out, "out " + out, small,
        [&](const Model& model) {
          TorchOps ops(model, batch, options);
          LeaveLayer(model.shape, 0, TorchOps::Of(entered), TorchOps::Of(inner), ops);
        });
  }
  return parts;
}

Latency MeasureLatency(const Model& model, int batch, int length, int threads, int runs, int warm_up) {
  THIMBLE_CHECK(batch > 0 && length > 0 && threads > 0 && runs > 0 && warm_up >= 0, "nothing to measure");
  const c10::InferenceMode inference;
  const ThreadCount thread_count(threads);
  const Batch input = RandomBatch(batch, length, model.shape.vocabulary);
  std::vector<double> times;
  for (int i = -warm_up; i < runs; ++i) {
    const double ms = Milliseconds([&] { Forward(model, input, ForLogits(model)); });
    if (i >= 0) times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  Latency latency{Quantile(times, 0.5), Quantile(times, 0.1), Quantile(times, 0.9)};
  latency.runs = runs;
  latency.length = length;
  latency.batch = batch;
  latency.threads = threads;
  return latency;
}

}  // namespace thimble::models
