#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <unordered_map>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "bench/yardstick/yardstick.h"
#include "models/arch/architecture.h"
#include "tools/table.h"

namespace thimble::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kGelu[] = "linear(gelu(linear(x,wb1)),wb2)";

std::vector<Json> Lines(const std::string& path) {
  std::vector<Json> lines;
  std::istringstream file(ReadFile(path));
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    lines.push_back(Json::parse(line, nullptr, /*allow_exceptions=*/false));
    if (lines.back().is_discarded())
      throw BadRequest(path + ":" + std::to_string(lines.size()), "is not JSON", line.substr(0, 80),
                       "an object a line");
  }
  return lines;
}

// Calls `read`; what is missing in a file is the user's mistake.
template <typename Read>
void Reading(const std::string& path, const Read& read) {
  try {
    read();
  } catch (const nlohmann::json::exception& problem) {
    throw BadRequest(path, std::string("a line lacks what it should have: ") + problem.what());
  }
}

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Scores of equal architectures are averaged.
Yardstick Table(const std::string& name, const std::string& unit, const std::string& path,
                const std::vector<std::pair<proto::Architecture, double>>& rows) {
  struct Row {
    proto::Architecture architecture;
    std::vector<double> scores;
  };
  std::map<std::string, Row> different;  // by canonical form
  for (const auto& [architecture, score] : rows) {
    auto& row = different[models::CanonicalArchitecture(architecture)];
    row.architecture = architecture;
    row.scores.push_back(score);
  }
  // In this order: that of a file may tell who is the best.
  std::vector<proto::Architecture> listed;
  auto means = std::make_shared<std::unordered_map<std::string, double>>();
  double best = -HUGE_VAL;
  for (const auto& [text, row] : different) {
    listed.push_back(row.architecture);
    best = std::max(best, (*means)[text] = Mean(row.scores));
  }
  Yardstick yardstick{
      .name = name, .unit = unit, .space = search::StageSpace::OfList(listed, {}, path), .stage = {}};
  yardstick.stage = yardstick.space.study().stage(0);
  yardstick.stage.clear_vary();  // the points of a list can be gone through, whatever they differ in
  yardstick.score = [means](const proto::Architecture& architecture) {
    return means->at(models::CanonicalArchitecture(architecture));
  };
  yardstick.best = best;
  return yardstick;
}

// Self-attention by dot products is itself; the others are settings that no two of them share.
proto::Mixer Label(const std::string& path, const std::string& operation, int heads) {
  static const std::map<std::string, int> kHeadWidths = {
      {"SA WMA", 48}, {"LT DFT", 24}, {"DSC 5", 5}, {"DSC 9", 9}};
  proto::Mixer mixer;
  if (operation == "LT DCT") {
    mixer.mutable_linear_attention()->set_heads(heads);
    return mixer;
  }
  mixer.mutable_self_attention()->set_heads(heads);
  if (operation == "SA SDP") return mixer;
  const auto found = kHeadWidths.find(operation);
  if (found == kHeadWidths.end())
    throw BadRequest(path, "an operation that NAS-Bench-BERT does not have", operation);
  mixer.mutable_self_attention()->set_head_width(found->second);
  return mixer;
}

// The mixer itself.
proto::Mixer Model(const std::string& path, const std::string& operation, int heads, int hidden) {
  proto::Mixer mixer;
  const auto sized = [&](auto* spec) {
    spec->set_heads(heads);
    spec->set_head_width(hidden / heads);
    return spec;
  };
  if (operation == "SA SDP") {
    sized(mixer.mutable_self_attention());
  } else if (operation == "SA WMA") {
    sized(mixer.mutable_self_attention())->set_similarity(proto::SelfAttention::BILINEAR);
  } else if (operation == "LT DFT") {
    sized(mixer.mutable_fourier());
  } else if (operation == "LT DCT") {
    sized(mixer.mutable_fourier())->set_transform(proto::Fourier::DCT);
  } else if (operation == "DSC 5" || operation == "DSC 9") {
    sized(mixer.mutable_span_convolution())->set_kernel(operation == "DSC 5" ? 5 : 9);
  } else {
    throw BadRequest(path, "an operation that NAS-Bench-BERT does not have", operation);
  }
  return mixer;
}

}  // namespace

std::vector<BenchModel> NasBenchBertModels(const std::string& path, bool released) {
  constexpr int kTables = 128;
  std::vector<BenchModel> models;
  Reading(path, [&] {
    for (const Json& line : Lines(path)) {
      BenchModel& model = models.emplace_back();
      model.id = line.at("id");
      model.score = line.at("scores").at("glue");
      const int hidden = released ? 256 : line.at("hidden").get<int>();
      model.architecture.set_hidden(hidden);
      model.architecture.set_heads(4);
      // ELECTRA-small's tables are 128 wide whatever the layers are.
      if (hidden == kTables) {
        model.architecture.mutable_embedding()->mutable_plain();
      } else {
        model.architecture.mutable_embedding()->mutable_factorised()->set_width(kTables);
      }
      for (const Json& each : line.at("layers")) {
        auto* layer = model.architecture.add_layer();
        *layer->mutable_mixer() = Model(
            path, each.at("operation").get<std::string>() + " " + each.at("parameter").get<std::string>(),
            each.at("heads"), hidden);
        layer->mutable_ffn()->mutable_mlp()->set_activation(proto::Mlp::gelu_erf);
        layer->mutable_ffn()->mutable_mlp()->set_hidden_layers(each.at("ffn_hidden_layers"));
        layer->mutable_ffn()->set_width(released ? 1024 : each.at("ffn").get<int>());
      }
    }
  });
  return models;
}

Yardstick NasBenchBert(const std::string& path) {
  std::vector<std::pair<proto::Architecture, double>> rows;
  Reading(path, [&] {
    for (const Json& line : Lines(path)) {
      proto::Architecture architecture;
      architecture.set_hidden(line.at("hidden"));
      architecture.set_heads(4);
      architecture.mutable_embedding()->mutable_plain();
      for (const Json& each : line.at("layers")) {
        auto* layer = architecture.add_layer();
        *layer->mutable_mixer() = Label(
            path, each.at("operation").get<std::string>() + " " + each.at("parameter").get<std::string>(),
            each.at("heads"));
        layer->mutable_ffn()->set_expression(kGelu);
        layer->mutable_ffn()->set_width(each.at("ffn"));
        layer->mutable_ffn()->set_stacks(each.at("ffn_hidden_layers"));
      }
      rows.emplace_back(std::move(architecture), line.at("scores").at("glue"));
    }
  });
  return Table("NAS-Bench-BERT", "GLUE points", path, rows);
}

Yardstick Ranks(const std::string& path) {
  std::string task, metric;
  std::map<std::string, proto::Architecture> architectures;  // by hash
  std::map<std::string, std::vector<double>> scores;
  Reading(path, [&] {
    for (const Json& line : Lines(path)) {
      const std::string kind = line.at("kind");
      if (kind == "study") {
        task = line.at("task");
      } else if (kind == "cheap") {
        auto& architecture = architectures[line.at("hash")];
        ParseText(line.at("architecture").get<std::string>(), path, &architecture);
        // Of one size, they differ in the base width of their blocks, which no stage varies: inner widths say
        // the same.
        for (auto& layer : *architecture.mutable_layer()) {
          const int width = models::InnerWidth(layer.ffn(), architecture.ffn_hidden());
          layer.mutable_ffn()->clear_ratio();
          layer.mutable_ffn()->set_width(width);
        }
        architecture.clear_ffn_hidden();
        for (const auto& [name, value] : line.at("untrained").items())
          if (metric.empty() && name.rfind("loss", 0) != 0) metric = name;
      } else if (line.contains("dev")) {
        scores[line.at("hash")].push_back(100 * line.at("dev").at(metric).get<double>());
      }
    }
  });
  std::vector<std::pair<proto::Architecture, double>> rows;
  for (const auto& [hash, values] : scores)
    if (architectures.count(hash)) rows.emplace_back(architectures[hash], Mean(values));
  return Table("ranks of " + task, "points of " + metric, path, rows);
}

}  // namespace thimble::bench
