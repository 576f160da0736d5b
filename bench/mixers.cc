// Each kind of mixer in a layer of its own, at several lengths: what it takes of time beside
// self-attention's, and where it overtakes that. Long filters also in their direct form.
#include <ATen/ATen.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/config.h"
#include "base/error.h"
#include "base/output_directory.h"
#include "base/quantile.h"
#include "bench/bench.h"
#include "bench/judged.h"
#include "models/encoder/kinds.h"
#include "models/model.h"
#include "models/onnx/onnx.h"
#include "models/torch/mixing.h"
#include "proto/architecture.pb.h"
#include "tools/quantities.h"
#include "tools/shell/standard_output.h"
#include "tools/table.h"
#include "train/threads.h"

namespace thimble::bench {
namespace of_mixers {
namespace {

using Mixer = Judged<proto::Mixer>;

struct Request {
  std::vector<std::string> mixers;
  std::vector<int> lengths = {32, 64, 128, 256, 512};
  std::string onnx;
  int hidden = 384, heads = 12, rounds = 15, threads = 1;
};

models::Batch RowOf(int length) {
  return {.ids = at::arange(length).unsqueeze(0),
          .segments = at::zeros({1, length}, at::kLong),
          .mask = at::ones({1, length})};
}

// One layer, without a feed-forward block.
models::Model ModelOf(const Mixer& mixer, const Request& request) {
  proto::Architecture architecture;
  const int longest = *std::max_element(request.lengths.begin(), request.lengths.end());
  architecture.set_vocabulary(longest);
  architecture.set_positions(longest);
  architecture.set_hidden(request.hidden);
  architecture.set_heads(request.heads);
  architecture.mutable_embedding()->mutable_plain();
  auto* layer = architecture.add_layer();
  *layer->mutable_mixer() = mixer.spec;
  layer->mutable_ffn()->mutable_none();
  return models::MakeModel(architecture, 0, 0, Random(1));
}

std::string FileName(std::string label) {
  for (char& c : label)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return label;
}

// Milliseconds of the mixer with its output linear, by mixer and length: medians over rounds in which all
// take turns.
std::vector<std::vector<double>> Times(const std::vector<models::Model>& models, const Request& request) {
  std::vector<std::vector<std::vector<double>>> all(models.size(),
                                                    std::vector<std::vector<double>>(request.lengths.size()));
  const c10::InferenceMode inference;
  for (int round = -1; round < request.rounds; ++round)  // one to warm up
    for (size_t l = 0; l < request.lengths.size(); ++l) {
      const models::Batch row = RowOf(request.lengths[l]);
      const at::Tensor x = at::randn({1, request.lengths[l], request.hidden});
      for (size_t m = 0; m < models.size(); ++m) {
        const auto& layer = models[m].shape.layers[0];
        const double seconds = Time([&] { models::ComputeMixer(models[m], 0, layer.mixer, x, row, {}); });
        if (round >= 0) all[m][l].push_back(1e3 * seconds);
      }
    }
  std::vector<std::vector<double>> medians(models.size());
  for (size_t m = 0; m < models.size(); ++m)
    for (auto& times : all[m]) medians[m].push_back(Quantile(times, 0.5));
  return medians;
}

// The longest filter as transforms compute it, and tap by tap: milliseconds of both, by length.
std::vector<std::pair<double, double>> FilterTimes(const Request& request) {
  std::vector<std::pair<double, double>> medians;
  const c10::InferenceMode inference;
  for (const int length : request.lengths) {
    const at::Tensor x = at::randn({1, length, request.hidden}),
                     taps = at::randn({request.hidden, 2 * length - 1});
    std::vector<double> by_transforms, direct;
    for (int round = 0; round < request.rounds; ++round) {
      by_transforms.push_back(1e3 * Time([&] { models::LongConvolution(x, taps); }));
      direct.push_back(1e3 * Time([&] {
                         at::conv1d(x.transpose(1, 2), taps.unsqueeze(1), {}, 1, length - 1, 1,
                                    request.hidden);
                       }));
    }
    medians.emplace_back(Quantile(by_transforms, 0.5), Quantile(direct, 0.5));
  }
  return medians;
}

void WriteGraphs(const std::vector<Mixer>& mixers, const std::vector<models::Model>& models,
                 const std::string& directory) {
  for (size_t m = 0; m < mixers.size(); ++m)
    models::WriteOnnx(models[m], directory + "/" + FileName(mixers[m].label) + ".onnx");
}

std::string Judge(const Request& request) {
  const auto any = [](const models::MixerEntry& entry) { return entry.python[0] != '\0'; };
  bool (*fits)(const models::MixerEntry&) = any;
  const auto texts = request.mixers.empty() ? PlainTexts(models::Mixers(), fits) : request.mixers;
  const auto mixers = ReadJudged<proto::Mixer>(
      texts, "--mixer", "mixes nothing", models::Mixers(), fits,
      [](const proto::Mixer& mixer) -> const models::MixerEntry& { return models::EntryOf(mixer); });
  if (mixers.empty() || !models::IsBerts(mixers[0].spec))
    throw BadRequest("--mixer", "the first is what the others are compared with",
                     texts.empty() ? "" : texts[0], "self_attention {}");
  std::vector<models::Model> models;
  for (const auto& mixer : mixers) models.push_back(ModelOf(mixer, request));
  std::optional<WritableDirectory> graphs;
  if (!request.onnx.empty()) {
    graphs.emplace(request.onnx);
    WriteGraphs(mixers, models, request.onnx);
  }
  const train::TorchThreads threads(request.threads);
  const auto times = Times(models, request);
  std::vector<std::vector<std::string>> table = {{"mixer, ms (of attention's)"}};
  for (const int length : request.lengths) table[0].push_back(std::to_string(length) + " tokens");
  auto json = nlohmann::json::array();
  for (size_t m = 0; m < mixers.size(); ++m) {
    auto& row = table.emplace_back(1, mixers[m].label);
    for (size_t l = 0; l < request.lengths.size(); ++l) {
      row.push_back(tools::Decimal(times[m][l], 3) + " (" + tools::Decimal(times[m][l] / times[0][l], 2) +
                    ")");
      json.push_back({{"mixer", mixers[m].label}, {"tokens", request.lengths[l]}, {"ms", times[m][l]}});
    }
  }
  const auto filters = FilterTimes(request);
  auto& row = table.emplace_back(1, "a filter, by transforms (of direct)");
  for (const auto& [transforms, direct] : filters)
    row.push_back(tools::Decimal(transforms, 3) + " (" + tools::Decimal(transforms / direct, 2) + ")");
  for (size_t l = 0; l < request.lengths.size(); ++l)
    json.push_back({{"filter_tokens", request.lengths[l]},
                    {"transforms_ms", filters[l].first},
                    {"direct_ms", filters[l].second}});
  std::printf("%d wide, %d heads, one row, %d thread%s, medians of %d rounds in turn\n%s", request.hidden,
              request.heads, request.threads, request.threads == 1 ? "" : "s", request.rounds,
              tools::Table(table).c_str());
  tools::FlushOutput();
  return json.dump(1);
}

std::function<std::string()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option(
      "--mixer", request->mixers,
      "as an architecture has it: 'long_convolution { reach: 64 }'; several, attention first; default: "
      "every kind with its defaults");
  app.add_option("--lengths", request->lengths, "tokens of a row")
      ->check(CLI::Range(2, 8192))
      ->delimiter(',');
  app.add_option("--hidden", request->hidden, "width")->check(CLI::PositiveNumber);
  app.add_option("--heads", request->heads, "of all mixers that have them")->check(CLI::PositiveNumber);
  app.add_option("--rounds", request->rounds, "of all of them in turn")->check(CLI::PositiveNumber);
  app.add_option("--threads", request->threads, "of each")->check(CLI::PositiveNumber);
  app.add_option("--onnx", request->onnx, "directory for a graph of each, which bench/peers/mixers.py times");
  return [request] { return Judge(*request); };
}

}  // namespace
}  // namespace of_mixers

BenchEntry mixers_bench() {
  return {.name = "mixers",
          .summary = "Every kind of mixer beside self-attention, by the row's length",
          .add_judge = of_mixers::Add};
}

}  // namespace thimble::bench
