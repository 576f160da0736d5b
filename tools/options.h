// Options that many commands take.
#pragma once
#include <string>
#include <vector>

#include "proto/deployment.pb.h"

namespace CLI {
class App;
}

namespace thimble::tools {

struct Options {
  int threads = 0;
  double checkpoint_seconds = -1;  // below 0: the schema's default
  bool force = false, dry_run = false, recompute = false;
  bool assume_label_order = false;  // of a model's outputs (data/label_order.h)
  std::string cache;                // Deployment.cache
  std::vector<std::string> set;
};
void AddDeployment(CLI::App& app, Options* options);  // --threads, --checkpoint-seconds, --cache, --recompute
void AddForce(CLI::App& app, Options* options);
void AddLabelOrder(CLI::App& app, Options* options);       // --assume-label-order
void AddSet(CLI::App& app, Options* options);              // --set
void AddRecipeOptions(CLI::App& app, Options* options);    // --set and --dry-run
proto::Deployment MakeDeployment(const Options& options);  // and sets torch's threads

}  // namespace thimble::tools
