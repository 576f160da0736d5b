#include "tools/options.h"

#include <CLI/CLI.hpp>

#include "base/parallel.h"
#include "proto/deployment.pb.h"
#include "train/threads.h"

namespace thimble::tools {

void AddDeployment(CLI::App& app, Options* options) {
  app.add_option("--threads", options->threads, "threads; 0: every core")->check(CLI::Range(0, 1024));
  app.add_option("--checkpoint-seconds", options->checkpoint_seconds,
                 "time between two checkpoints of a training run")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--cache", options->cache,
                 "directory for tokenized data; none: no files; default: $THIMBLE_CACHE or ~/.cache/thimble");
  app.add_flag(
      "--recompute", options->recompute,
      "compute a student's layers again on the way back: less memory, a third more time, the same result");
}

void AddForce(CLI::App& app, Options* options) {
  app.add_flag("--force", options->force, "replace what is there");
}

void AddLabelOrder(CLI::App& app, Options* options) {
  app.add_flag("--assume-label-order", options->assume_label_order,
               "a model's outputs are the task's labels by position, whatever its config.json calls them");
}

void AddSet(CLI::App& app, Options* options) {
  app.add_option("--set", options->set,
                 "override a field: path=value, e.g. optimizer.adamw.learning_rate=1e-4");
}

void AddRecipeOptions(CLI::App& app, Options* options) {
  AddSet(app, options);
  app.add_flag("--dry-run", options->dry_run, "check everything, then stop");
}

proto::Deployment MakeDeployment(const Options& options) {
  proto::Deployment deployment;
  deployment.set_threads(options.threads > 0 ? options.threads : Cores());
  if (options.checkpoint_seconds >= 0) deployment.set_checkpoint_seconds(options.checkpoint_seconds);
  if (!options.cache.empty()) deployment.set_cache(options.cache);
  deployment.set_recompute(options.recompute);
  train::SetTorchThreads(deployment.threads());
  return deployment;
}

}  // namespace thimble::tools
