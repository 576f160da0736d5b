#include "models/latency.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/quantile.h"
#include "models/encoder/encoder.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "models/torch/torch_ops.h"
#include "torch/version.h"

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

// Of work of one thread the time that it had a core: what other programs take away does not go into a table
// that is kept.
double OwnMilliseconds(const std::function<void()>& work) {
  const auto now = [] {
    timespec time{};
    THIMBLE_CHECK(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0, "a thread without a clock");
    return 1e3 * static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_nsec);
  };
  const double start = now();
  work();
  return now() - start;
}

using Work = std::function<void(const Model&)>;

// A part of a pass. Parts of a family differ in `size` only, in steps of `unit`; 0: there is nothing between
// its sizes.
struct Part {
  std::string name, family;
  int size = 0, unit = 0;
  std::function<proto::Architecture(int size)> architecture;  // the smallest that has it
  std::function<Work()> prepare;                              // its work, inputs at hand
  int classes = 0;
};

// A layer alone, with one block, and few tokens unless those are what is measured.
proto::Architecture Alone(const proto::Architecture& architecture, int layer, int vocabulary) {
  proto::Architecture part = architecture;
  part.clear_layer();
  *part.add_layer() = architecture.layer(layer);
  part.mutable_layer(0)->mutable_ffn()->set_stacks(1);
  part.set_vocabulary(vocabulary);
  return part;
}

// Expressions may ask for one of their widths to be the larger.
bool Resolves(const proto::Architecture& architecture) {
  try {
    Resolve(architecture);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::vector<int> Measured(const Part& part) {
  return part.unit > 0 ? Anchors(part.size, part.unit) : std::vector<int>{part.size};
}

// In the order of the pass, equal parts as often as they come.
std::vector<Part> PartsOf(const proto::Architecture& architecture, Tokens read_of_last,
                          const LatencySettings& settings, const LatencyStore& store) {
  constexpr int kFewTokens = 10, kClasses = 2, kWidths = 32;
  static const ForwardOptions options;
  const ResolvedArchitecture shape = Resolve(architecture);
  const int batch = settings.batch, length = settings.length, outer = shape.hidden,
            inner = shape.block_width();
  const auto input = std::make_shared<Batch>();
  const auto state = [batch](int tokens, int width) { return at::randn({batch, tokens, width}); };
  const auto inputs = [=](int vocabulary) {
    if (!input->ids.defined()) *input = RandomBatch(batch, length, vocabulary);
    return input;
  };
  std::vector<Part> parts;
  const auto add = [&](Part part) {
    if (shape.no_norm) part.family += ", no norm";
    for (const int size : part.unit > 0 ? Measured(part) : std::vector<int>()) {
      if (store.Has(part.family, size) || Resolves(part.architecture(size))) continue;
      part.family += ", as it is";
      part.unit = 0;
      break;
    }
    parts.push_back(std::move(part));
  };

  const std::string hidden = std::to_string(outer), width = std::to_string(inner);
  const std::string kind = "embedding, " + EntryOf(shape.embedding).name + " " +
                           std::to_string(shape.embedding_width) + " to " + hidden;
  add({.name = kind,
       .family = kind + ", of " + std::to_string(shape.vocabulary),
       .architecture = [=](int) { return Alone(architecture, 0, shape.vocabulary); },
       .prepare = [=]() -> Work {
         return [input = inputs(shape.vocabulary)](const Model& model) {
           TorchOps ops(model, *input, options);
           Embed(model.shape, ops);
         };
       }});
  for (int i = 0; i < static_cast<int>(shape.layers.size()); ++i) {
    const LayerShape& layer = shape.layers[i];
    const Tokens read = i + 1 < static_cast<int>(shape.layers.size()) ? Tokens::kAll : read_of_last;
    const std::string only = read == Tokens::kAll ? "" : ", first token";
    const int tokens = read == Tokens::kAll ? length : 1;
    const auto alone = [=](int) { return Alone(architecture, i, kFewTokens); };

    const std::string around = ", " + (shape.bottleneck > 0 ? hidden + " to " : "") + width +
                               (shape.share_query_key ? ", queries and keys share" : "") + only;
    Part mixer{.name = "mixer, " + std::to_string(shape.heads) + " heads, " + TextOf(layer.mixer) + around,
               .architecture = alone,
               .prepare = [=]() -> Work {
                 return [input = inputs(kFewTokens), x = state(length, outer), read](const Model& model) {
                   TorchOps ops(model, *input, options);
                   LayerInput in = EnterLayer(model.shape, 0, TorchOps::Of(x), read, ops);
                   const Value residual = in.residual;
                   const proto::Mixer& mixer = model.shape.layers[0].mixer;
                   const Value context =
                       Mix(model.shape, 0, mixer, std::move(in), ops.PaddingBias(kPaddingBias), read, ops);
                   CloseMixer(model.shape, 0, mixer, context, residual, ops);
                 };
               }};
    mixer.family = mixer.name;
    if (layer.mixer.has_self_attention()) {
      const MixerSize size = SizeOf(shape, layer.mixer);
      const int of_head = size.context / size.heads;
      const proto::Mixer rest = WithoutHeads(layer.mixer);
      const std::string scored = IsBerts(rest) ? "" : ", " + TextOf(rest);
      mixer.name = "attention, " + std::to_string(size.heads) + " heads" +
                   (IsBerts(layer.mixer) ? "" : " of " + std::to_string(of_head)) + scored + around;
      mixer.family = "attention, heads of " + std::to_string(of_head) + scored + around;
      mixer.size = size.heads;
      mixer.unit = 1;
      mixer.architecture = [=](int heads) {
        proto::Architecture part = alone(0);
        auto* spec = part.mutable_layer(0)->mutable_mixer()->mutable_self_attention();
        spec->set_heads(heads);
        spec->set_head_width(of_head);
        return part;
      };
    }
    add(std::move(mixer));

    Part block{.name = "block, " + width + " to " + std::to_string(layer.width) + ", " + TextOf(layer) + only,
               .family = "block, " + width + ", " + TextOf(layer) + only,
               .size = layer.width,
               .unit = layer.width > 0 ? kWidths : 0,
               .architecture =
                   [=](int size) {
                     proto::Architecture part = alone(0);
                     if (size == 0) return part;
                     part.mutable_layer(0)->mutable_ffn()->clear_ratio();
                     part.mutable_layer(0)->mutable_ffn()->set_width(size);
                     return part;
                   },
               .prepare = [=]() -> Work {
                 return [input = inputs(kFewTokens), x = state(tokens, inner)](const Model& model) {
                   TorchOps ops(model, *input, options);
                   const Value value = TorchOps::Of(x);
                   CloseBlock(0, 0, FeedForward(model.shape, 0, 0, model.shape.layers[0], value, ops), value,
                              ops);
                 };
               }};
    for (int stack = 0; stack < layer.stacks; ++stack) add(block);

    if (shape.bottleneck == 0) continue;
    const std::string out = "bottleneck, " + width + " to " + hidden + only;
    add({.name = out, .family = out, .architecture = alone, .prepare = [=]() -> Work {
           return [input = inputs(kFewTokens), x = state(tokens, inner),
                   entered = state(tokens, outer)](const Model& model) {
             TorchOps ops(model, *input, options);
             LeaveLayer(model.shape, 0, TorchOps::Of(entered), TorchOps::Of(x), ops);
           };
         }});
  }
  if (read_of_last == Tokens::kAll) return parts;
  const std::string pooler = "pooler and head, " + hidden + " to " + std::to_string(shape.pooler);
  add({.name = pooler,
       .family = pooler,
       .architecture = [=](int) { return Alone(architecture, 0, kFewTokens); },
       .prepare = [=]() -> Work {
         return [input = inputs(kFewTokens), x = state(1, outer)](const Model& model) {
           TorchOps ops(model, *input, options);
           RunHead(model.shape, kClasses, TaskHead::kPooled, TorchOps::Of(x), ops);
         };
       },
       .classes = kClasses});
  return parts;
}

// Models that differ in where their weights lie. In a whole pass a part's weights come from memory, since
// those of the other parts have been read since: copies are run in turn until all that are run are more than
// caches hold.
std::vector<Model> Copies(Model model, int count) {
  std::vector<Model> copies(count, model);
  for (auto copy = copies.begin() + 1; copy != copies.end(); ++copy)
    for (const auto& [name, tensor] : model.weights) copy->weights.at(name) = tensor.clone();
  return copies;
}

int64_t Bytes(const Model& model) { return model.weights.Elements() * static_cast<int64_t>(sizeof(float)); }

}  // namespace

double Sum(const std::vector<PartLatency>& parts) {
  double sum = 0;
  for (const PartLatency& part : parts) sum += part.ms * part.count;
  return sum;
}

LatencyTable::LatencyTable(const LatencySettings& settings, const std::string& file)
    : settings_(settings),
      store_({CpuModel(), TORCH_VERSION, settings.batch, settings.length, settings.threads}, file) {
  THIMBLE_CHECK(settings.batch > 0 && settings.length > 0 && settings.threads > 0 && settings.runs > 0,
                "nothing to measure");
}

void LatencyTable::Measure(const std::vector<proto::Architecture>& architectures, Tokens read) {
  constexpr int64_t kCaches = 64 << 20, kMostCopies = 64;
  const c10::InferenceMode inference;
  struct Missing {
    std::string family;
    int size;
    Work work;
    std::vector<Model> models;
    std::vector<double> times;
  };
  std::vector<Missing> missing;
  std::set<std::pair<std::string, int>> seen;
  int64_t together = 0;
  for (const auto& architecture : architectures)
    for (const Part& part : PartsOf(architecture, read, settings_, store_))
      for (const int size : Measured(part)) {
        if (store_.Has(part.family, size) || !seen.insert({part.family, size}).second) continue;
        missing.push_back({part.family,
                           size,
                           part.prepare(),
                           {MakeModel(part.architecture(size), part.classes, 0, Random(1))}});
        // Of an embedding few rows are read.
        if (part.unit > 0) together += Bytes(missing.back().models[0]);
      }
  if (missing.empty()) return;
  int runs = settings_.runs;
  for (Missing& part : missing) {
    const int64_t bytes = std::max<int64_t>({1, together, Bytes(part.models[0])});
    part.models =
        Copies(part.models[0], static_cast<int>(std::clamp<int64_t>(kCaches / bytes, 1, kMostCopies)));
    runs = std::max(runs, static_cast<int>(part.models.size()));
  }
  const ThreadCount thread_count(settings_.threads);
  for (int run = -std::min(runs, std::max(5, runs / 4)); run < runs; ++run)
    for (Missing& part : missing) {
      const auto pass = [&] { part.work(part.models[(run + runs) % part.models.size()]); };
      const double ms = settings_.threads == 1 ? OwnMilliseconds(pass) : Milliseconds(pass);
      if (run >= 0) part.times.push_back(ms);
    }
  for (Missing& part : missing) {
    std::sort(part.times.begin(), part.times.end());
    store_.Add(part.family, part.size, Quantile(part.times, 0.5));
  }
  store_.Write();
}

std::vector<PartLatency> LatencyTable::Parts(const proto::Architecture& architecture, Tokens read) {
  Measure({architecture}, read);
  std::vector<PartLatency> parts;
  for (const Part& part : PartsOf(architecture, read, settings_, store_)) {
    const auto same =
        std::find_if(parts.begin(), parts.end(), [&](const auto& known) { return known.part == part.name; });
    if (same != parts.end()) {
      ++same->count;
    } else {
      parts.push_back({part.name, store_.At(part.family, part.size), 1});
    }
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
