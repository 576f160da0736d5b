// thimble crop MODEL --to ARCHITECTURE.textproto [--layers first|uniform|doubled|averaged] [--tokens
// first|pca] --out DIR
#include <CLI/CLI.hpp>
#include <memory>

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/output_directory.h"
#include "models/crop.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "tools/quantities.h"
#include "tools/run/export.h"
#include "tools/run/student.h"
#include "train/training_weights.h"

namespace thimble::tools {
namespace of_crop {
namespace {

struct Request : Options {
  std::string model, to, out, layers = "first", tokens = "first";
};

void Run(const Request& request) {
  const models::CropRules rules = {.layers = models::LayerRuleOf(request.layers),
                                   .tokens = models::TokenRuleOf(request.tokens)};
  const bool doubled = rules.layers == models::LayerRule::kDoubled;
  if (request.to.empty() && !doubled)
    throw BadRequest("--to", "says what the student is", "",
                     "a text file with an Architecture; none only with --layers doubled");
  proto::Architecture architecture;
  if (!request.to.empty()) ReadText(request.to, &architecture);
  const OutputDirectory output(request.out, request.force);
  auto loaded = models::LoadPretrained(request.model);
  models::RequireOneLabel(loaded);
  train::ReadTrainingWeights(request.model, &loaded.model);
  if (request.to.empty()) architecture = models::Doubled(loaded.model.architecture);
  models::Resolve(architecture, request.to.empty() ? "the student" : request.to);
  const auto student = models::CropFrom(loaded.model, architecture, rules);
  const auto parameters = [](const models::Model& model) {
    return Millions(models::DeployedParameters(model.shape, model.classes, model.head));
  };
  const std::string size = parameters(student) + " parameters from " + parameters(loaded.model);
  if (request.dry_run) {
    Info("all is well: " + size);
    return;
  }
  PendingOutput out(request.out);
  WriteExport(student, loaded.label_names, request.model,
              {.teacher = request.model,
               .task = loaded.model.classes > 0 ? "the task of " + request.model : "no task yet",
               .how = "Cropped out of a larger model with `thimble crop` (layers: " + request.layers +
                      ", tokens: " + request.tokens + "); not trained.",
               .settings = loaded.settings},
              out.working());
  train::WriteTrainingWeights(student, out.working());
  out.Commit();
  std::printf(
      "%s; written to %s. It has to be trained: thimble finetune %s --task TASK --data DIR [--teacher DIR]\n",
      size.c_str(), request.out.c_str(), request.out.c_str());
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("model", request->model, "directory of the larger model")->required();
  app.add_option(
      "--to", request->to,
      "text file with the student's Architecture; none with --layers doubled: the model's, each layer twice");
  app.add_option("--layers", request->layers,
                 "first, uniform, doubled or averaged: which layers a student's layer begins as");
  app.add_option("--tokens", request->tokens,
                 "first: columns of the token table; pca: a narrow table from a plain one");
  app.add_option("--out", request->out, "directory to write")->required();
  AddForce(app, request.get());
  app.add_flag("--dry-run", request->dry_run, "check everything, then stop");
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_crop

std::function<void()> crop_command(CLI::App& app) { return of_crop::Add(app); }

}  // namespace thimble::tools
