#include "search/evaluators/measured_latency.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include "base/log.h"
#include "models/latency.h"
#include "search/space.h"

namespace thimble::search {
namespace {

// Students that together have every part of the space's: each section's with the k-th mixer and the k-th
// width in all layers.
std::vector<proto::Architecture> Covering(const proto::Space& space) {
  std::vector<proto::Architecture> all;
  for (const auto& section : Sections(space)) {
    const auto seed = SeedArchitecture(section, {});
    std::vector<proto::LayerSpace> layers;
    int most = 1;
    for (int i = 0; i < seed.layer_size(); ++i) {
      layers.push_back(LayerChoices(section, i));
      most = std::max(
          {most, layers[i].mixer_size(), layers[i].ffn().width_size(), layers[i].ffn().ratio_size()});
    }
    for (int k = 0; k < most; ++k) {
      auto& one = all.emplace_back(seed);
      for (int i = 0; i < seed.layer_size(); ++i) {
        const auto& ffn = layers[i].ffn();
        *one.mutable_layer(i)->mutable_mixer() = layers[i].mixer(k % layers[i].mixer_size());
        auto* block = one.mutable_layer(i)->mutable_ffn();
        if (ffn.ratio_size() > 0) block->set_ratio(ffn.ratio(k % ffn.ratio_size()));
        if (ffn.width_size() == 0) continue;
        if (const int width = ffn.width(k % ffn.width_size()); width > 0)
          block->set_width(width);
        else
          block->Clear(), block->mutable_none();
      }
    }
  }
  return all;
}

}  // namespace

std::string LatencyFile(const std::string& directory, const proto::LatencyConstraint& of) {
  return directory + "/latency-" + std::to_string(of.batch()) + "x" + std::to_string(of.length()) + "-" +
         std::to_string(of.threads()) + ".json";
}

std::function<double(const proto::Architecture&, const proto::LatencyConstraint&)> MeasuredLatency(
    models::Tokens read, const proto::Space& space, const std::string& directory) {
  const auto tables = std::make_shared<std::map<std::string, models::LatencyTable>>();
  return [tables, read, space, directory](const proto::Architecture& architecture,
                                          const proto::LatencyConstraint& of) {
    auto known = tables->find(LatencyFile("", of));
    if (known == tables->end()) {
      if (!directory.empty()) std::filesystem::create_directories(directory);
      const std::string file = directory.empty() ? "" : LatencyFile(directory, of);
      known =
          tables
              ->try_emplace(LatencyFile("", of),
                            models::LatencySettings{.batch = of.batch(),
                                                    .length = std::min(of.length(), architecture.positions()),
                                                    .threads = of.threads()},
                            file)
              .first;
      Info("latency of parts on this machine: batch " + std::to_string(of.batch()) + ", " +
           std::to_string(of.length()) + " tokens, " + std::to_string(of.threads()) +
           (of.threads() == 1 ? " thread" : " threads"));
      known->second.Measure(Covering(space), read);
    }
    return models::Sum(known->second.Parts(architecture, read));
  };
}

}  // namespace thimble::search
